#include "harness/report/comparison/junit.h"

#include <fmt/format.h>

#include <optional>
#include <utility>
#include <vector>

#include "harness/report/comparison/findings.h"
#include "harness/report/comparison/words.h"
#include "harness/report/export/junit_document.h"
#include "harness/report/text.h"

namespace kvproof {
namespace comparison {
namespace {

using junit::Outcome;
using junit::Properties;
using junit::Suite;
using junit::Test;

// Tests get their class with their suite.
Test test_named(const std::string& name) { return {"", name, {}, {}, std::nullopt}; }

// --- exact

Outcome outcome_of(const Case& one) {
  if (one.verdict == "INCOMPARABLE") return {"error", one.verdict, told(one.reason.value_or("no reason is given")), ""};
  if (!fails(one)) return {};
  std::vector<std::string> lines;
  for (const Change& change : one.changes)
    if (!change.accepted) lines.push_back(change_text(change));
  return {"failure", one.verdict, lines.empty() ? missing_text(one) : lines.front(), joined(lines, "\n")};
}

std::vector<Test> exact_tests(const Comparison& all) {
  std::vector<Test> tests;
  for (const Case& one : all.cases) {
    Test test = test_named(told(one.id));
    test.outcome = outcome_of(one);
    test.properties = {{"verdict", one.verdict}};
    if (one.shape) test.properties.emplace_back("shape", told(*one.shape));
    if (one.verdict == "MISSING" && one.accepted) test.properties.emplace_back("accepted", missing_text(one));
    for (const Change& change : one.changes)
      if (change.accepted) test.properties.emplace_back("accepted", change_text(change));
    tests.push_back(test);
  }
  return tests;
}

// --- times

Outcome outcome_of(const Metric& metric) {
  std::vector<std::string> lines = remarks_on(metric);
  if (const std::string times = times_text(metric); !times.empty()) lines.insert(lines.begin(), times);
  const std::string ratio = ratio_sentence(metric.ratio), details = joined(lines, "\n");
  if (fails(metric)) return {"failure", metric.verdict, ratio + ", δ " + share_text(metric.margin), details};
  if (!is_doubtful(metric)) return {};
  if (metric.verdict == "INCOMPARABLE") return {"error", metric.verdict, details, ""};
  return {"skipped", "", "INCONCLUSIVE: " + ratio + (lines.empty() ? "" : "; " + joined(lines, "; ")), ""};
}

void add_number(Properties& list, const char* name, std::optional<double> value) {
  if (value) list.emplace_back(name, Json(*value).dump());
}

void add_ratio(Properties& list, const Ratio& ratio) {
  add_number(list, "ratio", ratio.value);
  add_number(list, "low", ratio.low);
  add_number(list, "high", ratio.high);
}

Test test_of(const Metric& metric) {
  Test test = test_named(told(metric.case_id) + " " + told(metric.name));
  test.outcome = outcome_of(metric);
  Properties& list = test.properties;
  list.emplace_back("verdict", metric.verdict.empty() ? "not judged" : metric.verdict);
  add_ratio(list, metric.ratio);
  add_number(list, "base_ns", metric.base_ns);
  add_number(list, "candidate_ns", metric.candidate_ns);
  list.emplace_back("blocks", std::to_string(metric.blocks));
  add_number(list, "margin", metric.margin);
  add_number(list, "noise_floor", metric.noise_floor);
  add_number(list, "minimum_detectable", metric.minimum_detectable);
  add_number(list, "alarm_from", metric.alarm_from);
  add_number(list, "p", metric.p);
  return test;
}

std::vector<Test> time_tests(const Comparison& all, bool gated) {
  std::vector<Test> tests;
  if (!all.timing) return tests;
  if (gated && all.timing->paired && all.timing->verdict == "INCOMPARABLE") {
    tests.push_back(test_named("times"));
    tests.back().outcome = {"error", "INCOMPARABLE", told(all.timing->reason.value_or("no reason is given")), ""};
  }
  for (const Metric& metric : all.timing->metrics)
    if (metric.gated == gated) tests.push_back(test_of(metric));
  return tests;
}

std::vector<Test> floor_tests(const Comparison& all) {
  std::vector<Test> tests;
  for (const Floor& floor : all.floors) {
    Test test = test_named(told(floor.case_id) + " " + told(floor.metric));
    test.properties = {{"verdict", floor.verdict}};
    if (fails(floor)) test.outcome = {"failure", floor.verdict, floor_text(floor), ""};
    add_number(test.properties, "floor", floor.floor);
    add_ratio(test.properties, floor.value);
    tests.push_back(test);
  }
  return tests;
}

// --- the document

Properties suite_properties(const Comparison& all) {
  Properties list = {{"base", side_text(all.base)},
                     {"base.machine", machine_text(all.base)},
                     {"candidate", side_text(all.candidate)},
                     {"candidate.machine", machine_text(all.candidate)},
                     {"exit_code", std::to_string(all.exit_code)}};
  if (all.config_file) list.emplace_back("config", told(*all.config_file));
  return list;
}

Suite suite_of(const std::string& tier, std::vector<Test> tests, const Comparison& all) {
  for (Test& test : tests) test.class_name = "kvproof.compare." + tier;
  return {tier, suite_properties(all), std::move(tests)};
}

}  // namespace
}  // namespace comparison

std::string render_comparison_junit(const Json& json) {
  using namespace comparison;
  const Comparison all = read_comparison(json);
  return junit::document_text(
      title_text(all), told(all.started),
      {suite_of("exact", exact_tests(all), all), suite_of("times", time_tests(all, true), all),
       suite_of("report only", time_tests(all, false), all), suite_of("floors", floor_tests(all), all)},
      junit::Times::none);
}

}  // namespace kvproof
