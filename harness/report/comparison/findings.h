// What somebody must look at in a comparison, worst first: one place decides what fails, what is doubtful and what is only
// told. The Markdown's list, the annotations and the JUnit file read it.
#pragma once

#include <string>
#include <vector>

#include "harness/report/comparison/comparison.h"

namespace kvproof::comparison {

enum class Level {
  failure,  // makes the gate fail
  doubt,    // nothing is known, or a setting is of no use
  note      // worth telling
};

/// Texts as told() has them (words.h).
struct Finding {
  Level level;
  std::string verdict;  // "REGRESSED"; of what has none "ACCEPT", "CONTROL", "WARNING", "NOTE"
  std::string where;    // "demo/decode engine_decode cpu"
  std::string what;
};

/// A change that nobody accepted, and a case that is gone, unless that was.
bool fails(const Case& one);

/// A gated time that a second session found slower, too.
bool fails(const Metric& metric);

bool fails(const Floor& floor);

/// A gated time of which nothing is known.
bool is_doubtful(const Metric& metric);

/// A control that found identical code different.
bool is_off(const Control& control);

/// Failures, then doubts, then notes; each in the document's order.
std::vector<Finding> findings_of(const Comparison& all);

}  // namespace kvproof::comparison
