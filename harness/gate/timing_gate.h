// Two programs timed against each other on the cases of a config: a session of blocks, its verdicts, and a second session
// for what the first calls REGRESSED.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/compare/session.h"
#include "harness/config/config.h"
#include "harness/measure/paired/paired.h"

namespace kvproof {

struct TimingSpec {
  std::function<StartedChild(Side)> start;  // as PairedSpec
  std::vector<Case> cases;                  // in an order that needs each model once
  CompareSpec compare;                      // how much is measured, and of what
  std::vector<compare::AaEffect> recorded;  // what identical code showed before: the noise floor
};

/// A time of a case on one side, of one unit (a prefill, a step, a generation): the median of the blocks.
struct UnitTimes {
  double base_ns = 0, candidate_ns = 0;
};

struct TimedVerdict {
  compare::Judged judged;                 // of both sessions together
  std::optional<compare::Judged> second;  // what the second session said alone
  std::optional<UnitTimes> times;         // absent where cases were joined
};

struct TimingOutcome {
  PairedSession first;
  std::optional<PairedSession> second;
  compare::Family family;
  std::vector<TimedVerdict> verdicts;
  std::vector<compare::Judged> controls;  // of the first session
  bool interrupted = false;               // then the rest is what was measured, unjudged where blocks are missing

  /// What identical code showed in this: for the noise floor of later ones.
  std::vector<compare::AaEffect> aa_effects() const;
  compare::Verdict verdict() const;
};

/// A config's cases in the order that opens each model once.
std::vector<Case> cases_to_time(const LoadedConfig& config);

/// "engine_decode cpu"
std::string metric_name(const Timed& timed, ClockKind clock);

/// Times of one thread on a CPU gate, by CPU time; wall time never does.
bool gates(const CaseFacts& facts, ClockKind clock);

/// What a session says of its samples, and of its controls: pure.
/// only  those to judge, by case and metric, and to correct for; null: all
struct JudgedSession {
  std::vector<compare::Judged> compared, controls;
};
JudgedSession judge_paired(const PairedSession& session, const TimingSpec& spec, const compare::Family& family,
                           const std::vector<compare::Judged>* only = nullptr);

/// Measures and judges. The cases of `spec` that are controlled: the first ones that have all that is timed among them.
///
/// journal   may be null; gets both sessions' lines
/// throws    as measure_paired
TimingOutcome run_timing_gate(const TimingSpec& spec, Journal* journal, const PairedListener& listener);

}  // namespace kvproof
