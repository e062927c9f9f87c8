// One row of a generation: its tokens, what it is forced to say next, and the calculator's state machine.
#pragma once

#include <deque>
#include <vector>

#include "engine/generate/generator.h"

namespace kvproof {

/// What ends a row and what its tools are. Ids are kNoToken where there is no such token.
struct RowRules {
  const SpecialTokens* special = nullptr;  // null: no token ends a row
  const Tokenizer* tools = nullptr;        // null: no calculator
};

class RowState {
 public:
  RowState(const std::vector<TokenId>& prompt, ForcedTokens replay)
      : tokens_(prompt), mask_(prompt.size(), 0), replay_(std::move(replay)) {}

  struct Taken {
    TokenId token;
    int mask;  // 1 sampled, 0 forced
  };
  /// Takes the forced token of this step if there is one, else the sampled one, and moves the state machine.
  /// A terminal token ends the row and is not kept among its tokens.
  Taken take(TokenId sampled, int64_t step, const RowRules& rules);

  bool finished() const { return finished_; }
  GeneratedRow result(Finish unfinished) const { return {tokens_, mask_, finished_ ? Finish::stop : unfinished}; }

 private:
  void run_tools(TokenId token, const Tokenizer& tokenizer);

  std::vector<TokenId> tokens_;
  std::vector<int> mask_;
  ForcedTokens replay_;           // by step
  std::deque<TokenId> forced_;    // the calculator's answer, still to be said
  bool in_expression_ = false;
  std::vector<TokenId> expression_;
  bool finished_ = false;
};

}  // namespace kvproof
