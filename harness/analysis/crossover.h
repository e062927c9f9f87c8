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
  StepCurve naive_steps, engine_steps;
  std::optional<Growth> naive, engine;  // absent for fewer than two steps
  /// From how many tokens on the engine has taken less time, all of its prefill included. Absent: within the case it never
  /// did, or not until the end.
  std::optional<int64_t> break_even;
  /// Speed-up of the whole run over the FLOPs' ratio: 1 where time follows arithmetic. Absent: withheld, or no FLOPs known.
  std::optional<double> of_ceiling;
  bool withheld = false;  // the case's speed-up is, so nobody should be told a break-even either

  /// Whether both paths took the 32 steps that make a curve; what fewer grow like is noise, and no report shows it.
  bool has_curve() const;
};

/// Of medians over repetitions. throws RecordError: a damaged record
Crossover crossover(const View& one_case);

/// What a report may show of it, as numbers with their units, none of them rounded:
///   naive, engine      each {step_ns_at_zero, step_ns_per_token (the line), growth_exponent}: null without a curve
///   break_even_tokens  generated tokens; null where there is none, or the speed-up is withheld
///   of_ceiling         null where absent
Json figures_of(const Crossover& crossover);

}  // namespace kvproof
