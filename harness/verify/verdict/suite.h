// Which scenarios a model is put through, and what they cost.
#pragma once

#include <string>
#include <vector>

#include "harness/subject/subject.h"
#include "harness/verify/scenarios/script.h"

namespace kvproof {

enum class Depth { quick, full };

struct Suite {
  std::vector<std::string> scenarios;    // "chunks[1,299]/float64", simple ones first
  std::vector<std::string> not_covered;  // sentences without full stop: what was left out, and why
  int64_t longest = 0;                   // positions
  double seconds = 0;                    // roughly, on two cores
};

/// The scenarios of caches for one model and dtype.
///
/// A few scenarios of a few tokens are always there. Those of every kind, then those that cross a window, the model's
/// sequence_len or the rotary tables' end join while the estimate stays below `seconds`; what does not fit is named.
/// numerics  a small selection, for a dtype whose logic is judged in float64
Suite cache_suite(const SubjectInfo& info, Depth depth, double seconds, bool numerics);

/// A rough estimate of one scenario, recomputation included: a fixed cost per layer and forward, and multiply-adds at 15
/// GFLOP/s. Only chooses what to run.
double estimated_seconds(const Script& script, const SubjectInfo& info);

/// The same for one forward of one token.
double estimated_forward_seconds(const SubjectInfo& info);

}  // namespace kvproof
