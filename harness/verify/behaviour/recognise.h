// What a wrong stream of tokens looks like: the known ways of going wrong, tried one after the other.
#pragma once

#include <string>
#include <vector>

#include "harness/verify/behaviour/expected_generation.h"

namespace kvproof {

/// A path's generated tokens that are not the expected ones.
struct WrongTokens {
  const GenerationRequest& request;
  const ExpectationRules& rules;
  const Expected& expected;
  const std::vector<std::vector<TokenId>>& actual;  // by row, as the expected ones below
  const std::vector<std::vector<TokenId>>& wanted;
  int64_t row = 0, step = 0;  // the first that differs; may be the end of the shorter one
  LogitFunction logits;
};

/// Evidence in a few words, such as "row 2 repeats row 0's tokens" or "as if top_k were 4"; empty if nothing fits.
std::string recognise_tokens(const WrongTokens& wrong);

}  // namespace kvproof
