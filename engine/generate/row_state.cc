#include "engine/generate/row_state.h"

#include "engine/generate/calculator.h"

namespace kvproof {

RowState::Taken RowState::take(TokenId sampled, int64_t step, const RowRules& rules) {
  Taken taken{sampled, 1};
  if (const auto replayed = replay_.find(step); replayed != replay_.end()) {
    taken = {replayed->second, 0};
  } else if (!forced_.empty()) {
    taken = {forced_.front(), 0};
    forced_.pop_front();
  }
  if (rules.special && (taken.token == rules.special->assistant_end || taken.token == rules.special->bos)) {
    finished_ = true;
    return taken;
  }
  tokens_.push_back(taken.token);
  mask_.push_back(taken.mask);
  if (rules.tools) run_tools(taken.token, *rules.tools);
  return taken;
}

void RowState::run_tools(TokenId token, const Tokenizer& tokenizer) {
  const SpecialTokens& special = tokenizer.special();
  if (token == special.python_start) {  // inside an expression it starts it anew
    in_expression_ = true;
    expression_.clear();
  } else if (token == special.python_end && in_expression_) {
    in_expression_ = false;
    if (expression_.empty()) return;
    const auto answer = evaluate_calculator(tokenizer.decode(expression_));
    expression_.clear();
    if (!answer) return;
    forced_.push_back(special.output_start);
    for (const TokenId id : tokenizer.encode(*answer)) forced_.push_back(id);
    forced_.push_back(special.output_end);
  } else if (in_expression_) {
    expression_.push_back(token);
  }
}

}  // namespace kvproof
