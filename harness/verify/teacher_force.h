// Gives the same tokens to the naive path, the cached path and the float64 reference, and has the logits judged.
#pragma once

#include <vector>

#include "harness/subject/subject.h"
#include "harness/verify/agreement.h"

namespace kvproof {

/// quick: the first kQuickRows rows, the positions that chose a token. full: every row, and the prompt's positions.
/// Either way each row's first divergence; and where logits would take more than kJudgedLogits, evenly spaced
/// positions.
enum class VerifyLevel { quick, full };

inline constexpr int64_t kQuickRows = 4;
inline constexpr int64_t kJudgedLogits = int64_t{1} << 25;  // of one path, in memory at once: 256 MiB

struct AgreementRequest {
  std::vector<TokenId> prompt;
  SamplerSettings sampler;
  std::vector<TokenStream> naive, engine;  // free-running, one per row
  int64_t replayed_forced_tokens = 0;
  VerifyLevel level = VerifyLevel::quick;
};

/// The steps to judge of each row, ascending. Pure.
///
/// lengths      generated tokens of each row
/// divergences  (row, step) that must be among them; steps past a row's length are left out
std::vector<std::vector<int64_t>> choose_steps(const std::vector<int64_t>& lengths,
                                               const std::vector<Flip>& divergences, int64_t vocab, VerifyLevel level);

/// Teacher-forces the naive streams through all paths.
///
/// subject    what was measured; its cached path runs as the engine does: one prefill, cloned to all rows, then one
///            token a step, rows leaving as they end
/// reference  the same weights in float64 on the CPU; its uncached logits are the truth, its cached ones the logic
///            check of bfloat16 and float16. The subject itself where nothing better is known
/// throws     what the subjects throw
/// cost       one uncached forward per judged row on either subject, and one cached run (two in bfloat16 and float16)
Agreement check_agreement(const AgreementRequest& request, Subject& subject, Subject& reference);

}  // namespace kvproof
