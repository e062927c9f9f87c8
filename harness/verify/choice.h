// Which token a row of logits chooses, and by how much: greedy and per_row sampling as plain arithmetic.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "engine/generate/sampler.h"

namespace kvproof {

/// Which tokens may be drawn: the top_k highest logits, ties by lowest id; all of them where nothing limits it (top_k
/// absent or 0, or temperature 0).
std::vector<bool> candidates(const SamplerSettings& settings, std::span<const double> logits);

/// The token a path with these logits takes: the candidates' largest per_row_score, the lowest id on ties.
/// logits  (V), finite, V >= 1
TokenId chosen_token(const SamplerSettings& settings, std::span<const double> logits, int64_t row, int64_t step);

/// What a flip is judged by: (V) logits each.
struct FlipEvidence {
  std::span<const double> naive, engine, reference;
  std::span<const double> naive_taken = {}, engine_taken = {};  // in the shapes in which the token was taken, or empty
};

/// How far apart the reference has two tokens, and what rounding may shift them by.
struct Margin {
  double margin = 0, allowed = 0;
  bool explained() const { return margin <= allowed; }
};

/// Judges that naive took one token and engine another.
///
/// Where both tokens are candidates on both paths: the difference of their reference scores against the sum of both
/// paths' errors at both tokens. Where top_k leaves a token out on one path only: the same question about that token
/// and one that took its place. returns the harder of them to explain, in units of the score
Margin flip_margin(const SamplerSettings& settings, const FlipEvidence& evidence, int64_t row, int64_t step,
                   TokenId naive_token, TokenId engine_token);

}  // namespace kvproof
