// The verdict, and below it what is not as it should be: what, where, and how to see it again.
#include <fmt/format.h>

#include <vector>

#include "harness/report/html/markup.h"
#include "harness/report/html/sections.h"
#include "harness/report/numbers.h"
#include "harness/report/page.h"
#include "harness/report/text.h"
#include "harness/report/words.h"
#include "harness/shell_word.h"

namespace kvproof {
namespace {

/// verdict, where, why: all safe for a terminal, not yet for HTML.
std::string item(const std::string& verdict, const std::string& where, const std::string& why,
                 const std::string& again = "") {
  std::string text = fmt::format("<li><strong class=\"{}\">{}</strong> <b>{}</b>: {}", class_of(verdict),
                                 html_text(verdict), html_text(where), html_text(why));
  if (!again.empty()) text += fmt::format("<br>again: <code>{}</code>", html_text(again));
  return text + "</li>\n";
}

std::string verification_items(const View& record) {
  std::string items;
  if (!record.has("verifications")) return items;  // a record of before runs verified
  const auto all = record.at("verifications").items();
  for (const View& one : all) {
    const std::string verdict = shown(one.at("verdict"));
    if (verdict == "PASS") continue;
    std::string why = verification_text(one);
    if (const View first = one.at("first_divergence"); !first.is_null())
      why += fmt::format(". First: {}: {}", shown(first.at("scenario")), shown(first.at("message")));
    items += item(verdict, "verification of " + verification_name(one, all), why,
                  visible(one.at("reproduce").text_or_null().value_or("")));
  }
  return items;
}

std::string case_items(const View& one) {
  const std::string id = shown(one.at("id")), verdict = verdict_of(one);
  if (one.at("status").text() != "ok") return item(verdict, id, error_text(one.at("error")));
  std::string items;
  if (verdict == "DISAGREE" || verdict == "UNVERIFIED")
    items += item(verdict, id, shown(one.at("agreement").at("explanation")));
  // The explanation said already that the outputs disagree.
  std::vector<std::string> faults;
  for (const std::string& fault : faults_of(one))
    if (verdict != "DISAGREE" || !fault.starts_with("the outputs disagree")) faults.push_back(fault);
  if (!faults.empty()) items += item("INVALID", id, fmt::format("{}", fmt::join(faults, "; ")));
  return items;
}

std::string validity_text(const View& record) {
  const std::string counts = validity_tally(record);
  return counts.empty() ? "Nothing was measured." : "Measurements: " + counts + ".";
}

}  // namespace

std::string class_of(const std::string& verdict) {
  if (verdict == "VALID") return "good";
  if (verdict == "OFF") return "doubtful";
  switch (ink_of(verdict)) {
    case Ink::good:
      return "good";
    case Ink::doubtful:
      return "doubtful";
    default:
      return "bad";
  }
}

std::string command_text(const View& words) {
  std::vector<std::string> quoted;
  for (const View& word : words.items()) quoted.push_back(visible(shell_quoted(word.text())));
  return fmt::format("{}", fmt::join(quoted, " "));
}

std::string verdict_section(const View& record) {
  std::string items = verification_items(record);
  for (const View& one : record.at("cases").items()) items += case_items(one);
  const bool partial = record.has("partial") && record.at("partial").boolean();  // older records have none
  const char* colour = partial ? "doubtful" : record.at("exit_code").integer() == 0 ? "good" : "bad";
  std::string html = fmt::format("<section id=\"verdict\" class=\"{}\">\n<p class=\"closing\">{}</p>\n<p>{}</p>\n",
                                 colour, html_text(closing_text(record)), validity_text(record));
  if (!items.empty()) html += "<ul class=\"problems\">\n" + items + "</ul>\n";
  if (!partial) {
    for (const std::string& command : commands_of(record))
      html += fmt::format("<p>To see it again: <code>{}</code></p>\n", html_text(visible(command)));
  }
  return html + "</section>\n";
}

}  // namespace kvproof
