// What a generation must give, written down a second time: plain loops in double, one row after the other.
//
// Shares no code with the engine's sampler, rows or loop, only the plain structs of a request and its result. Torch-free.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/generate/generator.h"
#include "harness/subject/subject.h"

namespace kvproof {

/// The whole history of a row -> (V) float64 logits that choose its next token.
using LogitFunction = std::function<std::vector<double>(const std::vector<TokenId>& history)>;

/// What the calculator needs. No functions: no tools.
struct ToolFunctions {
  std::function<std::string(const std::vector<TokenId>&)> decode;
  std::function<std::vector<TokenId>(const std::string&)> encode;
  std::function<std::optional<std::string>(const std::string&)> calculate;
};

/// Draws for the live rows of one step: replaces the per_row choice where a mode draws all rows from one stream.
/// logits  one (V) for each live row
using StepDraw = std::function<std::vector<TokenId>(const std::vector<int64_t>& live,
                                                    const std::vector<std::vector<double>>& logits)>;

struct ExpectationRules {
  const SpecialTokens* special = nullptr;  // null: no token ends a row
  ToolFunctions tools;
  int64_t rotary_len = 0;
  std::optional<int64_t> abandon_at;  // the step after which the observer wants no more
  StepDraw draw;                      // empty: per_row
};

struct ExpectedToken {
  TokenId token = 0;
  int mask = 1;         // 1 sampled, 0 forced
  double margin = 0;    // score of the sampled token above the runner-up's, whether it was taken or not
  TokenId sampled = 0;  // what was sampled, also where another one was forced
};

struct ExpectedRow {
  std::vector<ExpectedToken> stream;  // generated, the terminal token included
  GeneratedRow row;                   // as the result must hold it
};

struct Expected {
  std::vector<ExpectedRow> rows;
  int64_t steps = 0, token_forwards = 0;
  std::vector<int64_t> forwards;  // positions pushed, forward by forward
};

/// What `path` must generate. The request must be a valid one.
Expected expect_generation(const GenerationRequest& request, Path path, const LogitFunction& logits,
                           const ExpectationRules& rules);

/// Standard Gumbel noise of (seed, row, step, token), as records of all versions were drawn with.
double expected_noise(uint64_t seed, int64_t row, int64_t step, TokenId token);

struct Choice {
  TokenId token = 0;
  double margin = 0;  // above the runner-up's score; infinite where there is none
};
/// The token that per_row sampling takes: the top_k highest logits (ties by lowest id), the largest
/// logit / temperature + noise among them; temperature 0: the highest logit, lowest id on ties.
Choice expected_choice(const SamplerSettings& settings, std::span<const double> logits, int64_t row, int64_t step);

/// By how much scores would have to move for `actual` to be taken in place of `chosen`, in units of the score. Where top_k
/// keeps `actual` out, or `chosen` in by little, the distance to that border counts.
double flip_distance(const SamplerSettings& settings, std::span<const double> logits, int64_t row, int64_t step,
                     TokenId chosen, TokenId actual);

}  // namespace kvproof
