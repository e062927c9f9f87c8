#include "harness/report/comparison/junit.h"

#include <fmt/format.h>

#include <optional>
#include <pugixml.hpp>
#include <sstream>
#include <vector>

#include "harness/report/comparison/findings.h"
#include "harness/report/comparison/words.h"
#include "harness/report/export/escape.h"
#include "harness/report/text.h"

namespace kvproof {
namespace comparison {
namespace {

void set(pugi::xml_node node, const char* attribute, const std::string& value) {
  node.append_attribute(attribute).set_value(xml_text(value).c_str());
}

/// "2026-11-22T10:15:00": the schemas of JUnit know no zone.
std::string without_zone(const std::string& moment) {
  return moment.ends_with('Z') ? moment.substr(0, moment.size() - 1) : moment;
}

using Properties = std::vector<std::pair<std::string, std::string>>;

// How a test came out: nothing, or an element of this name.
struct Outcome {
  const char* element = nullptr;  // "failure", "error", "skipped"; null: passed
  std::string type, message, details;
};

struct Test {
  std::string name;
  Outcome outcome;
  Properties properties;
};

struct Counts {
  int64_t tests = 0, failures = 0, errors = 0, skipped = 0;

  void add(const Outcome& outcome) {
    const std::string_view element = outcome.element == nullptr ? "" : outcome.element;
    ++tests;
    failures += element == "failure";
    errors += element == "error";
    skipped += element == "skipped";
  }
  void add(const Counts& more) {
    tests += more.tests;
    failures += more.failures;
    errors += more.errors;
    skipped += more.skipped;
  }
};

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
    Test test{told(one.id), outcome_of(one), {{"verdict", one.verdict}}};
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
  Test test{told(metric.case_id) + " " + told(metric.name), outcome_of(metric), {}};
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
  if (gated && all.timing->paired && all.timing->verdict == "INCOMPARABLE")
    tests.push_back(
        {"times", {"error", "INCOMPARABLE", told(all.timing->reason.value_or("no reason is given")), ""}, {}});
  for (const Metric& metric : all.timing->metrics)
    if (metric.gated == gated) tests.push_back(test_of(metric));
  return tests;
}

std::vector<Test> floor_tests(const Comparison& all) {
  std::vector<Test> tests;
  for (const Floor& floor : all.floors) {
    Test test{told(floor.case_id) + " " + told(floor.metric), {}, {{"verdict", floor.verdict}}};
    if (fails(floor)) test.outcome = {"failure", floor.verdict, floor_text(floor), ""};
    add_number(test.properties, "floor", floor.floor);
    add_ratio(test.properties, floor.value);
    tests.push_back(test);
  }
  return tests;
}

// --- the document

void write_counts(pugi::xml_node node, const Counts& counts, const std::string& started) {
  set(node, "tests", std::to_string(counts.tests));
  set(node, "failures", std::to_string(counts.failures));
  set(node, "errors", std::to_string(counts.errors));
  set(node, "skipped", std::to_string(counts.skipped));
  set(node, "timestamp", told(without_zone(started)));
}

void write_properties(pugi::xml_node owner, const Properties& list) {
  if (list.empty()) return;
  pugi::xml_node node = owner.append_child("properties");
  for (const auto& [name, value] : list) {
    pugi::xml_node property = node.append_child("property");
    set(property, "name", name);
    set(property, "value", value);
  }
}

void write_test(pugi::xml_node suite, const std::string& tier, const Test& test) {
  pugi::xml_node node = suite.append_child("testcase");
  set(node, "classname", "kvproof.compare." + tier);
  set(node, "name", test.name);
  write_properties(node, test.properties);
  if (test.outcome.element == nullptr) return;
  pugi::xml_node outcome = node.append_child(test.outcome.element);
  if (!test.outcome.type.empty()) set(outcome, "type", test.outcome.type);
  set(outcome, "message", test.outcome.message);
  if (!test.outcome.details.empty()) outcome.text().set(xml_text(test.outcome.details).c_str());
}

Properties suite_properties(const Comparison& all) {
  Properties list = {{"base", side_text(all.base)},
                     {"base.machine", machine_text(all.base)},
                     {"candidate", side_text(all.candidate)},
                     {"candidate.machine", machine_text(all.candidate)},
                     {"exit_code", std::to_string(all.exit_code)}};
  if (all.config_file) list.emplace_back("config", told(*all.config_file));
  return list;
}

void write_suite(pugi::xml_node root, const char* tier, const std::vector<Test>& tests, const Comparison& all,
                 Counts& sum) {
  if (tests.empty()) return;
  pugi::xml_node suite = root.append_child("testsuite");
  Counts counts;
  write_properties(suite, suite_properties(all));
  for (const Test& test : tests) {
    write_test(suite, tier, test);
    counts.add(test.outcome);
  }
  set(suite, "name", tier);
  write_counts(suite, counts, all.started);
  sum.add(counts);
}

}  // namespace
}  // namespace comparison

std::string render_comparison_junit(const Json& json) {
  using namespace comparison;
  const Comparison all = read_comparison(json);
  pugi::xml_document document;
  pugi::xml_node declaration = document.append_child(pugi::node_declaration);
  declaration.append_attribute("version") = "1.0";
  declaration.append_attribute("encoding") = "UTF-8";
  pugi::xml_node root = document.append_child("testsuites");
  Counts counts;
  write_suite(root, "exact", exact_tests(all), all, counts);
  write_suite(root, "times", time_tests(all, true), all, counts);
  write_suite(root, "report only", time_tests(all, false), all, counts);
  write_suite(root, "floors", floor_tests(all), all, counts);
  set(root, "name", title_text(all));
  write_counts(root, counts, all.started);
  std::ostringstream text;
  document.save(text, " ", pugi::format_indent, pugi::encoding_utf8);
  return text.str();
}

}  // namespace kvproof
