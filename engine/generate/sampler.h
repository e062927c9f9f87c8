// Logits to tokens. Two modes: nanochat's own (one generator for all rows) and per_row (a pure function of seed, row,
// step).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/tokenizer/tokenizer.h"

namespace at {
class Tensor;
}

namespace kvproof {

enum class SamplerMode { per_row, nanochat };

struct SamplerSettings {
  double temperature = 1.0;                     // >= 0; 0 is greedy: argmax, lowest index on ties
  std::optional<int64_t> top_k = std::nullopt;  // absent or 0: no limit; larger than the vocabulary: the vocabulary
  uint64_t seed = 42;
  SamplerMode mode = SamplerMode::per_row;
};

/// Which of nanochat's two sampling procedures the `nanochat` mode copies: they draw different tokens from equal logits
/// where top_k limits the draw.
enum class NanochatProcedure { engine, naive };

/// throws ArgumentError: temperature negative, not finite or between 0 and 1e-30 (place "sampler.temperature"),
/// top_k negative (place "sampler.top_k")
void check_sampler_settings(const SamplerSettings& settings);

/// One run's sampler. `nanochat` mode carries a generator, so one object serves one run.
class Sampler {
 public:
  /// throws as check_sampler_settings. procedure matters in `nanochat` mode only
  Sampler(const SamplerSettings& settings, NanochatProcedure procedure);
  ~Sampler();

  /// Draws one token per row. per_row: argmax of per_row_score over the top_k highest logits (ties by lowest id).
  ///
  /// logits  (B, V), any floating dtype, any device; `nanochat` mode draws from float32
  /// rows    (B) the original row numbers, ascending: noise is theirs
  /// step    0 for the first generated token; `nanochat` mode counts calls instead
  /// rows_of_original  n: rows of the original batch. `nanochat` mode draws for all of them, or the stream shifts:
  ///                   rows that are no longer there get a draw from a uniform row that is thrown away
  /// returns (B) tokens
  /// throws  ArgumentError (place "sampler"): shape or dtype, rows that do not ascend below n. CheckpointError
  ///         (place "sampler"): a row that holds NaN, inf or nothing but -inf
  /// cost    per_row, V = 32768: 0.11 ms a row, 0.03 with top_k 50; logarithms only for tokens that could still win
  std::vector<TokenId> sample(const at::Tensor& logits, const std::vector<int64_t>& rows, int64_t step,
                              int64_t rows_of_original);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The score whose argmax per_row takes: logit / temperature + Gumbel noise of (seed, row, step, token);
/// the logit itself where temperature is 0. The margin between two tokens is the difference of their scores.
double per_row_score(const SamplerSettings& settings, double logit, int64_t row, int64_t step, TokenId token);

/// Standard Gumbel noise, a pure function of its arguments, the same on every machine up to the last bits of log().
double gumbel_noise(uint64_t seed, int64_t row, int64_t step, TokenId token);

}  // namespace kvproof
