// Whether a record is fit to be held against for months: what speaks against it, each with what to do. Pure.
#pragma once

#include <string>
#include <vector>

#include "harness/compare/exact.h"

namespace kvproof::track {

/// A machine was quiet enough for times that are kept if it stayed below these. They are where a run begins to warn
/// (harness/measure/warnings.h).
inline constexpr double kMostLoad = 0.5;     // load average over a minute before the run, over cores
inline constexpr double kMostStolen = 0.01;  // of the CPUs' time, taken by the hypervisor
/// How the warning begins that says of a run that the machine multiplied slower behind some cases than before them.
inline constexpr const char* kBecameSlower = "the machine became slower";

struct Fitness {
  std::vector<std::string> refusals;  // sentences without their stop: it must not be a baseline
  std::vector<std::string> warnings;  // it may

  bool fit() const { return refusals.empty(); }
};

/// What speaks against a record as a baseline.
///
/// Refused always: a part of a run; no case; cases that failed, that are INVALID, whose outputs DISAGREE; a case id twice.
/// Refused with times: builds of Debug and with sanitizers; several machines; CPUs that were slowed down; kMostLoad,
/// kMostStolen, kBecameSlower. Warned of: changes that were not committed; such builds without times; outputs that were
/// not compared; with times those of too few repetitions for an interval.
///
/// throws RecordError: a damaged record
Fitness fitness_of(const Json& record, compare::Times times);

}  // namespace kvproof::track
