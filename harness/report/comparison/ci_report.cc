#include "harness/report/comparison/ci_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/record/view.h"
#include "harness/report/comparison/annotations.h"
#include "harness/report/comparison/workflow_command.h"
#include "harness/report/export/escape.h"
#include "harness/report/page.h"
#include "harness/report/text.h"

namespace kvproof {
namespace {

constexpr std::size_t kMostLines = 50;  // of a list in a summary; the documents have all

std::string verdict_text(const View& ci) {
  const std::size_t failures = ci.at("failures").items().size(), warnings = ci.at("warnings").items().size();
  const auto counted = [](std::size_t n, const char* what) {
    return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
  };
  const std::string tail = warnings == 0 ? "" : ", " + counted(warnings, "warning");
  return failures == 0 ? "passed" + tail : "failed: " + counted(failures, "finding") + tail;
}

void markdown_list(const View& list, const char* title, std::string& text) {
  const auto entries = list.items();
  if (entries.empty()) return;
  text += fmt::format("\n**{}**\n\n", title);
  for (std::size_t i = 0; i < std::min(entries.size(), kMostLines); ++i) {
    text +=
        fmt::format("- {}: {}\n", entries[i].at("kind").text(), markdown_prose(visible(entries[i].at("text").text())));
  }
  if (entries.size() > kMostLines)
    text += fmt::format("- {} more: ci.json has them all\n", entries.size() - kMostLines);
}

std::string annotated(const View& list, const char* kind, std::string_view file) {
  std::string text;
  const auto entries = list.items();
  const bool all = entries.size() <= kMostAnnotations;
  const std::size_t shown = all ? entries.size() : kMostAnnotations - 1;
  for (std::size_t i = 0; i < shown; ++i)
    text += workflow_command(kind, file, "kvproof: " + entries[i].at("kind").text(), entries[i].at("text").text());
  if (!all)
    text += workflow_command(kind, file, "kvproof",
                             fmt::format("{} more like these: the job's summary has them all", entries.size() - shown));
  return text;
}

}  // namespace

std::string render_ci(const Json& document) {
  const View ci(document);
  std::string text = fmt::format("\nkvproof ci: {}\n", verdict_text(ci));
  for (const auto& [key, word] : {std::pair{"failures", "FAILS"}, std::pair{"warnings", "warning"}}) {
    for (const View& one : ci.at(key).items())
      text += fmt::format("  {:<8} {}: {}\n", word, one.at("kind").text(), shown(one.at("text")));
  }
  for (const auto& [name, path] : ci.at("artifacts").json().items())
    text += fmt::format("  {:<22} {}\n", name, visible(path.get<std::string>()));
  return text + fmt::format("Exit code {}.\n", ci.at("exit_code").integer());
}

std::string render_ci_markdown(const Json& document) {
  const View ci(document);
  std::string text = fmt::format("**kvproof ci {}** (exit code {}), config {}\n", verdict_text(ci),
                                 ci.at("exit_code").integer(), markdown_code(ci.at("config").at("file").text()));
  markdown_list(ci.at("failures"), "What fails", text);
  markdown_list(ci.at("warnings"), "Worth a look", text);
  return text;
}

std::string ci_annotations(const Json& document, std::string_view config_file) {
  const View ci(document);
  return annotated(ci.at("failures"), "error", config_file) + annotated(ci.at("warnings"), "warning", config_file);
}

}  // namespace kvproof
