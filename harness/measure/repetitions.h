// A case under the clock: the cold calls, the warm-up, then both paths taking turns.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/measure/case_log.h"
#include "harness/measure/clocked_call.h"

namespace kvproof {

/// How much to measure. The defaults are what `repetitions: auto` means.
struct RepetitionPolicy {
  std::optional<int64_t> repetitions;  // absent: as many as fit the budget, 3 to 12
  int64_t least = 3, most = 12;        // 12 carries a 95 % interval from the 3rd to the 10th value
  int64_t budget_ns = 10'000'000'000;  // of the measured repetitions
  int64_t warmup_rounds = 2;           // at least
  int64_t warmup_most = 12;            // at most, and no new round once warmup_ns is spent
  int64_t warmup_ns = 3'000'000'000;
  double steady = 0.05;  // relative change of the rolling median that counts as none
};

struct PathMeasurement {
  Sample first_call;           // the cold one; never in a metric
  std::vector<Sample> warmup;  // discarded, kept for who wants to see
  std::vector<Sample> samples;
  GenerationResult result;  // of the first call; every later one must equal it
  std::vector<TokenStream> streams;
  int64_t prefill_positions = 0;
  Fact<int64_t> peak_rss_bytes;  // during the first call
};

struct CaseMeasurement {
  PathMeasurement naive, engine;
  bool steady = true;                  // the warm-up ended because times had settled
  int64_t replayed_forced_tokens = 0;  // the engine's tools forced them, the naive path was given them
  bool interrupted = false;            // the listener ended it; there may be no samples, or fewer than were decided on
  std::vector<std::string> invalid;    // why the numbers mean nothing; empty: they are good
};

/// Called before each generation: what runs ("warm-up", "repetition"), how many of how many are done, seconds to go in
/// this case (absent before a round was timed). returns whether to go on.
using RepetitionListener =
    std::function<bool(const std::string& stage, int64_t done, int64_t total, std::optional<double> seconds_left)>;

/// Measures one request on both paths.
///
/// The engine's cold call comes first (it needs less memory, so its peak is its own), then the naive one, which is
/// given the tokens that the engine's tools forced. Repetitions alternate: naive engine, engine naive, …
/// Every call must give the tokens and the counts of the first, and count what the row lengths say; else `invalid`
/// says so.
/// log      told of each round as it ends; rounds that it remembers are in the result and not measured again, but for
///          the cold calls, whose outputs must be the same, and the warm-up where rounds are missing. May be null
/// throws   what the subject, the listener and the log throw
CaseMeasurement measure_repetitions(Subject& subject, const GenerationRequest& request, const RepetitionPolicy& policy,
                                    Probe& probe, const RepetitionListener& listener = {}, CaseLog* log = nullptr);

/// Whether the newest round changed the rolling median (of 3) by less than `tolerance`.
bool is_steady(const std::vector<Sample>& rounds, double tolerance);

}  // namespace kvproof
