// The proof that comparisons are neither deaf nor jumpy: sessions in which it is known what was planted, and how often which
// verdict was given.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "harness/compare/counts.h"
#include "harness/config/config.h"
#include "harness/record/record.h"

namespace kvproof {

/// A kind of session: what the candidate has that the base has not.
struct ProofPlan {
  std::string name;                // "aa", "slow-5"
  double prefill = 0, decode = 0;  // repeated work, as a share of the phase's own time
  std::string fault;               // that changes what is generated
  bool busy = false;               // beside a core that computes all the while
  int64_t sessions = 0;
};

/// 30 A/A sessions, 30 with a busy core, 60 with 5 % more work, 20 with 10 %, 20 with 10 % in decode alone, 5 with a fault.
const std::vector<ProofPlan>& proof_plans();

/// The next session to run: the plan that is furthest behind; -1: all are done.
/// done  of each plan
int next_plan(const std::vector<int64_t>& done);

/// What planting costs of a phase's own time, as shares: being there at all, and each product.
struct PhaseCost {
  double overhead = 0, product = 0;

  /// How many products make a phase slower by a share. 0 for a share of 0, else 1 at least.
  int64_t products(double share) const;
};

/// place    what is told of it: "prefill"
/// throws   RecordError: the product costs nothing, or less: it drowned in noise, and no slow-down could be planted by it
PhaseCost usable(PhaseCost cost, const std::string& place);

struct ProofOptions {
  std::filesystem::path program;  // who is measured, on both sides
  std::filesystem::path log;      // a JSONL file that grows by a line a session; gone on with where it is there
  int64_t most_sessions = 1'000'000;
  std::vector<std::string> sets;
  /// Told what is measured; returns whether to go on.
  std::function<bool(const std::string& what)> listener;
};

/// Measures what is missing. returns whether it came to its end: false where the listener or most_sessions ended it
/// throws  what sessions throw; RecordError: the log is of another config or machine
bool prove_comparison(const LoadedConfig& config, const ProofOptions& options);

/// What a log says: an entry for each claim with its count, its interval and whether it holds, and the power curve.
///   {"claims": [{"claim", "plan", "count", "of", "low", "high", "needed" (as a text), "holds" (null: too few sessions yet)}],
///    "power": {metric: [{"slow_down", "regressed", "equivalent", "inconclusive", "of"}]}, "noise": {metric: {"floor", "margin",
///    "recorded"}}, "measured": {plan: {metric: the median ratio}}, "sessions", "longest_s", "complete", "holds"}
/// throws RecordError: a damaged line
Json summarize_proof(const std::vector<Json>& lines);

/// As lines of text, 100 columns at most.
std::string proof_text(const Json& summary);

}  // namespace kvproof
