#include "harness/report/comparison/annotations.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "harness/report/comparison/findings.h"
#include "harness/report/comparison/workflow_command.h"

namespace kvproof {
namespace comparison {
namespace {

std::string title_of(const Finding& one) { return one.where.empty() ? one.verdict : one.verdict + " " + one.where; }

}  // namespace
}  // namespace comparison

std::string github_annotations(const Json& document, std::string_view config_file) {
  using namespace comparison;
  const auto findings = findings_of(read_comparison(document));
  std::string text;
  constexpr std::array<std::pair<Level, const char*>, 3> kKinds = {
      {{Level::failure, "error"}, {Level::doubt, "warning"}, {Level::note, "notice"}}};
  for (const auto& [level, kind] : kKinds) {
    const Level wanted = level;
    std::vector<Finding> chosen;
    std::copy_if(findings.begin(), findings.end(), std::back_inserter(chosen),
                 [&](const Finding& one) { return one.level == wanted; });
    const bool all = chosen.size() <= kMostAnnotations;
    const std::size_t shown = all ? chosen.size() : kMostAnnotations - 1;
    for (std::size_t i = 0; i < shown; ++i)
      text += workflow_command(kind, config_file, title_of(chosen[i]), chosen[i].what);
    if (!all)
      text += workflow_command(
          kind, config_file, "kvproof compare",
          fmt::format("{} more like these: the job's summary and the document have them all", chosen.size() - shown));
  }
  return text;
}

}  // namespace kvproof
