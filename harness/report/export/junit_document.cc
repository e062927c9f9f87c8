#include "harness/report/export/junit_document.h"

#include <fmt/format.h>

#include <cstdint>
#include <pugixml.hpp>
#include <sstream>
#include <string_view>

#include "harness/report/export/escape.h"

namespace kvproof::junit {
namespace {

constexpr double kNsPerSecond = 1e9;

void set(pugi::xml_node node, const char* attribute, const std::string& value) {
  node.append_attribute(attribute).set_value(xml_text(value).c_str());
}

std::string seconds_text(double ns) { return fmt::format("{:.6f}", ns / kNsPerSecond); }

std::string without_zone(const std::string& moment) {
  return moment.ends_with('Z') ? moment.substr(0, moment.size() - 1) : moment;
}

struct Counts {
  int64_t tests = 0, failures = 0, errors = 0, skipped = 0;
  double ns = 0;

  void add(const Test& test) {
    const std::string_view element = test.outcome.element == nullptr ? "" : test.outcome.element;
    ++tests;
    failures += element == "failure";
    errors += element == "error";
    skipped += element == "skipped";
    ns += test.ns.value_or(0);
  }
};

void write_counts(pugi::xml_node node, const Counts& counts, const std::string& started, Times times) {
  set(node, "tests", std::to_string(counts.tests));
  set(node, "failures", std::to_string(counts.failures));
  set(node, "errors", std::to_string(counts.errors));
  set(node, "skipped", std::to_string(counts.skipped));
  if (times == Times::summed) set(node, "time", seconds_text(counts.ns));
  set(node, "timestamp", without_zone(started));
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

void write_outcome(pugi::xml_node test, const Outcome& outcome) {
  if (outcome.element == nullptr) return;
  pugi::xml_node node = test.append_child(outcome.element);
  if (!outcome.type.empty()) set(node, "type", outcome.type);
  set(node, "message", outcome.message);
  if (!outcome.details.empty()) node.text().set(xml_text(outcome.details).c_str());
}

void write_test(pugi::xml_node suite, const Test& test) {
  pugi::xml_node node = suite.append_child("testcase");
  set(node, "classname", test.class_name);
  set(node, "name", test.name);
  if (test.ns) set(node, "time", seconds_text(*test.ns));
  write_properties(node, test.properties);
  write_outcome(node, test.outcome);
}

}  // namespace

std::string document_text(const std::string& name, const std::string& started, const std::vector<Suite>& suites,
                          Times times) {
  pugi::xml_document document;
  pugi::xml_node declaration = document.append_child(pugi::node_declaration);
  declaration.append_attribute("version") = "1.0";
  declaration.append_attribute("encoding") = "UTF-8";
  pugi::xml_node root = document.append_child("testsuites");
  Counts all;
  for (const Suite& suite : suites) {
    if (suite.tests.empty()) continue;
    pugi::xml_node node = root.append_child("testsuite");
    Counts counts;
    write_properties(node, suite.properties);
    for (const Test& test : suite.tests) {
      write_test(node, test);
      counts.add(test);
      all.add(test);
    }
    set(node, "name", suite.name);
    write_counts(node, counts, started, times);
  }
  set(root, "name", name);
  write_counts(root, all, started, times);
  std::ostringstream text;
  document.save(text, " ", pugi::format_indent, pugi::encoding_utf8);
  return text.str();
}

}  // namespace kvproof::junit
