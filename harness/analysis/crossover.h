// What a cache costs and saves over the length of an answer: where it begins to pay, how both paths grow, and how much of
// what arithmetic allows was reached. Pure functions on a record's case.
#pragma once

#include <cstdint>
#include <optional>

#include "harness/analysis/step_curve.h"

namespace kvproof {

/// How one path's steps cost more as more tokens stand before them.
struct Growth {
  Line line;                       // ns over depth
  std::optional<double> exponent;  // a of time ~ depth^a: the slope of a robust line through their logarithms
};

struct Crossover {
  std::optional<Growth> naive, engine;  // absent for fewer than two steps
  /// From how many tokens on the engine has taken less time, all of its prefill included. Absent: within the case it never
  /// did, or not until the end.
  std::optional<int64_t> break_even;
  /// Speed-up of the whole run over the FLOPs' ratio: 1 where time follows arithmetic. Absent: withheld, or no FLOPs known.
  std::optional<double> of_ceiling;
};

/// Of medians over repetitions. throws RecordError: a damaged record
Crossover crossover(const View& one_case);

}  // namespace kvproof
