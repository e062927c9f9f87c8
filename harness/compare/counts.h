// Counts as evidence: how often a verdict was given, and what that says of how often it would be.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "harness/compare/verdict.h"

namespace kvproof::compare {

/// So many of so many sessions.
struct Count {
  int64_t count = 0, of = 0;
};

/// The chance that is behind a count, after Clopper and Pearson: wrong in a share of 1 − confidence of all such counts at
/// most, whatever the chance is. at_most and at_least are one-sided (none of 60: 4.9 % at most; 57 of 60: 87.6 % at least);
/// between has both, each with half of the error.
///
/// throws std::invalid_argument: no session, a count outside [0, of], a confidence outside (0, 1)
/// source Clopper and Pearson, Biometrika 26 (1934) 404
double at_most(Count count, double confidence = 0.95);
double at_least(Count count, double confidence = 0.95);
std::pair<double, double> between(Count count, double confidence = 0.95);

/// What would have been said of a slow-down, had it been there in sessions that compared a program with itself.
struct PowerPoint {
  double slow_down = 0;                       // as a share: 0.05 is 5 %
  Count regressed, equivalent, inconclusive;  // by judge: before any correction, control or second session
};

/// Every block of every recorded session made slower by each of the slow-downs: real noise, with all that shifts a session,
/// and a planted effect that is the same in each block.
///
/// sessions    d of A/A sessions, of one metric, machine and number of blocks
/// slow_downs  above −1
/// throws      std::invalid_argument: a session without blocks
std::vector<PowerPoint> power_curve(std::span<const std::vector<double>> sessions, std::span<const double> slow_downs,
                                    const Margin& margin);

}  // namespace kvproof::compare
