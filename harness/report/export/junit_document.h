// JUnit XML: suites of tests, each passed, failed, broken or skipped, with properties. What runs and comparisons both write.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kvproof::junit {

using Properties = std::vector<std::pair<std::string, std::string>>;  // name, value

/// How a test came out: passed, or an element of this name with what it says.
struct Outcome {
  const char* element = nullptr;  // "failure", "error", "skipped"; null: passed
  std::string type, message, details;
};

struct Test {
  std::string class_name, name;
  Outcome outcome;
  Properties properties;
  std::optional<double> ns;  // how long it took; none where no clock ran
};

struct Suite {
  std::string name;
  Properties properties;
  std::vector<Test> tests;
};

/// Whether a clock ran at all: then suites have the sum of their tests' times, be it 0.
enum class Times { summed, none };

/// started  UTC, "2026-11-22T10:15:00Z"; JUnit's schemas know no zone, so that the file has none
/// returns  a whole document, UTF-8, with what each suite and all together count; suites without tests are left out. Texts
///          may hold anything: what XML cannot is written out
std::string document_text(const std::string& name, const std::string& started, const std::vector<Suite>& suites,
                          Times times);

}  // namespace kvproof::junit
