// A chat whose history stays in the cache: each turn pushes only its new tokens through the model.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/generate/generator.h"

namespace kvproof {

struct TurnSettings {
  int64_t max_tokens = 256;   // >= 1
  SamplerSettings sampler;    // the seed is used as given: vary it from turn to turn for varied answers
  bool tools = true;
};

struct ChatTurn {
  std::vector<TokenId> tokens;  // the answer, without its terminal token
  std::vector<int> mask;        // 1 sampled, 0 forced by a tool
  Finish finish = Finish::length;
  int64_t prefilled = 0;        // new positions pushed before the first token: what was said since, not the history
  int64_t token_forwards = 0;   // those and the decoded ones
  int64_t history = 0;          // tokens of the conversation afterwards
};

class ChatSession {
 public:
  /// model and tokenizer must outlive the session.
  ChatSession(const Model& model, const Tokenizer& tokenizer);
  ~ChatSession();

  /// Says something and generates the answer. An answer that is cut, by max_tokens or by the observer, is closed with
  /// <|assistant_end|> in the history, as nanochat does.
  /// throws ArgumentError, TokenizerError, CapacityError (the conversation no longer fits: clear it); the history is then
  ///        as before the call
  ChatTurn turn(const std::string& user_text, const TurnSettings& settings, GenerationObserver* observer = nullptr);

  /// Forgets the conversation.
  void clear();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kvproof
