#include "harness/report/comparison/findings.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/report/comparison/words.h"
#include "harness/report/text.h"

namespace kvproof::comparison {
namespace {

constexpr std::size_t kMostChanges = 8;  // told of one case

std::vector<std::string> changes_told(const Case& one, bool accepted) {
  std::vector<std::string> all;
  for (const Change& change : one.changes)
    if (change.accepted == accepted) all.push_back(change_text(change));
  if (all.size() > kMostChanges) {
    const std::size_t more = all.size() - kMostChanges;
    all.resize(kMostChanges);
    all.push_back(fmt::format("and {} more", more));
  }
  return all;
}

void add_case(const Case& one, std::vector<Finding>& list) {
  const std::string id = told(one.id), reason = told(one.reason.value_or(""));
  if (one.verdict == "ADDED")
    return list.push_back(
        {Level::note, "ADDED", id, "only the candidate has it: there is nothing to hold it against yet"});
  if (one.verdict == "INCOMPARABLE") return list.push_back({Level::doubt, "INCOMPARABLE", id, reason});
  if (one.verdict == "MISSING")
    return list.push_back({fails(one) ? Level::failure : Level::note, "MISSING", id, missing_text(one)});
  const auto open = changes_told(one, false), accepted = changes_told(one, true);
  if (!open.empty()) list.push_back({Level::failure, one.verdict, id, joined(open, "; ")});
  if (!accepted.empty()) list.push_back({Level::note, one.verdict, id, joined(accepted, "; ")});
}

void add_metric(const Metric& metric, std::vector<Finding>& list) {
  const std::string where = told(metric.case_id) + " " + told(metric.name);
  std::vector<std::string> parts = {ratio_sentence(metric.ratio)};
  if (const std::string times = times_text(metric); !times.empty()) parts.push_back(times);
  if (metric.margin) parts.push_back("δ " + share_text(metric.margin));
  for (const std::string& remark : remarks_on(metric)) parts.push_back(remark);
  if (fails(metric)) return list.push_back({Level::failure, metric.verdict, where, joined(parts, "; ")});
  if (is_doubtful(metric)) return list.push_back({Level::doubt, metric.verdict, where, joined(parts, "; ")});
  if (metric.verdict == "REGRESSED" || (metric.gated && metric.verdict == "IMPROVED")) {
    if (!metric.gated) parts.push_back("report only: it never fails");
    list.push_back({Level::note, metric.verdict, where, joined(parts, "; ")});
  }
}

void add_timing(const Timing& timing, std::vector<Finding>& list) {
  for (const Metric& metric : timing.metrics) add_metric(metric, list);
  const bool open = std::any_of(timing.metrics.begin(), timing.metrics.end(), is_doubtful);
  if (timing.verdict == "INCOMPARABLE" || (timing.verdict == "INCONCLUSIVE" && !open))
    list.push_back({timing.paired ? Level::doubt : Level::note, *timing.verdict, "times",
                    told(timing.reason.value_or("no reason is given"))});
  for (const Control& control : timing.controls)
    if (is_off(control))
      list.push_back({Level::doubt, "CONTROL", told(control.case_id) + " " + told(control.metric),
                      fmt::format("base against its own copy came out as {} ({}): no verdict of this time is believed",
                                  ratio_sentence(control.ratio), control.verdict)});
  if (timing.session && !timing.session->note.empty())
    list.push_back({Level::note, "NOTE", "session", told(timing.session->note)});
}

}  // namespace

bool fails(const Case& one) {
  if (one.verdict == "MISSING") return !one.accepted;
  const auto accepted = [](const Change& change) { return change.accepted; };
  return one.verdict == "CHANGED" && !std::all_of(one.changes.begin(), one.changes.end(), accepted);
}

bool fails(const Metric& metric) { return metric.gated && metric.verdict == "REGRESSED" && metric.confirmed; }

bool fails(const Floor& floor) { return floor.verdict == "REGRESSED"; }

bool is_doubtful(const Metric& metric) {
  if (!metric.gated || fails(metric)) return false;
  return metric.verdict == "REGRESSED" || metric.verdict == "INCONCLUSIVE" || metric.verdict == "INCOMPARABLE";
}

bool is_off(const Control& control) { return control.verdict == "REGRESSED" || control.verdict == "IMPROVED"; }

std::vector<Finding> findings_of(const Comparison& all) {
  std::vector<Finding> list;
  for (const Case& one : all.cases) add_case(one, list);
  const auto incomparable = [](const Case& one) { return one.verdict == "INCOMPARABLE"; };
  if (all.exact == "INCOMPARABLE" && std::none_of(all.cases.begin(), all.cases.end(), incomparable))
    list.push_back({Level::doubt, "INCOMPARABLE", "cases", "no case is in both"});
  if (all.timing) add_timing(*all.timing, list);
  for (const Floor& floor : all.floors)
    if (fails(floor))
      list.push_back({Level::failure, "REGRESSED", told(floor.case_id) + " " + told(floor.metric),
                      floor_text(floor) + ": it lies below the floor that is committed"});
  for (const std::string& name : all.accept_unused)
    list.push_back({Level::doubt, "ACCEPT", told(name), "ci.accept names it, and it did not change: remove it there"});
  for (const std::string& warning : all.warnings) list.push_back({Level::doubt, "WARNING", "", told(warning)});
  std::stable_sort(list.begin(), list.end(), [](const Finding& a, const Finding& b) { return a.level < b.level; });
  return list;
}

}  // namespace kvproof::comparison
