#include "engine/generate/chat_session.h"

#include <algorithm>
#include <optional>

#include "engine/error.h"
#include "engine/generate/generation_loop.h"
#include "engine/model/model.h"

namespace kvproof {
namespace {

// Continues a cache that holds a prefix of the prompt.
class WarmSource final : public LogitSource {
 public:
  WarmSource(const Model& model, std::optional<KVCache>& cache) : model_(model), cache_(cache) {}

  at::Tensor start(const std::vector<TokenId>& prompt, int64_t /*rows*/) override {
    if (!cache_) cache_ = model_.new_cache(1, static_cast<int64_t>(prompt.size()) + 256);
    const std::vector<TokenId> fresh(prompt.begin() + cache_->length(0), prompt.end());
    prefilled_ = static_cast<int64_t>(fresh.size());
    return push(fresh);
  }
  at::Tensor next(const std::vector<int64_t>& /*kept*/, const std::vector<TokenId>& tokens) override { return push(tokens); }
  int64_t token_forwards() const override { return token_forwards_; }
  int64_t kv_cache_bytes() const override { return cache_->bytes(); }
  int64_t prefilled() const { return prefilled_; }

 private:
  at::Tensor push(const std::vector<TokenId>& tokens) {
    const int64_t needed = cache_->length(0) + static_cast<int64_t>(tokens.size());
    if (needed > cache_->capacity()) cache_->reserve(std::max(needed, 2 * cache_->capacity()));
    token_forwards_ += static_cast<int64_t>(tokens.size());
    return model_.forward(TokenBatch::single(tokens), *cache_, LogitsAt::last);
  }

  const Model& model_;
  std::optional<KVCache>& cache_;
  int64_t token_forwards_ = 0, prefilled_ = 0;
};

}  // namespace

struct ChatSession::State {
  const Model& model;
  const Tokenizer& tokenizer;
  std::vector<TokenId> history;  // all of the conversation; the cache holds a prefix of it
  std::optional<KVCache> cache;
};

ChatSession::ChatSession(const Model& model, const Tokenizer& tokenizer)
    : state_(std::make_unique<State>(State{model, tokenizer, {}, std::nullopt})) {}
ChatSession::~ChatSession() = default;

void ChatSession::clear() {
  state_->history.clear();
  if (state_->cache) state_->cache->reset();
}

ChatTurn ChatSession::turn(const std::string& user_text, const TurnSettings& settings, GenerationObserver* observer) {
  State& s = *state_;
  const SpecialTokens& special = s.tokenizer.special();
  if (settings.max_tokens < 1) throw ArgumentError("max_tokens", "must be at least 1 in a chat");

  GenerationRequest request;
  request.prompt = s.history;
  if (request.prompt.empty()) request.prompt.push_back(special.bos);
  request.prompt.push_back(special.user_start);
  for (const TokenId id : s.tokenizer.encode(user_text)) request.prompt.push_back(id);
  request.prompt.push_back(special.user_end);
  request.prompt.push_back(special.assistant_start);
  const auto P = static_cast<int64_t>(request.prompt.size());
  const int64_t room = s.model.config().rotary_len() - P;  // one position is kept for <|assistant_end|>
  if (room < 1)
    throw CapacityError("chat", "the conversation no longer fits into the rotary tables; clear it to go on");
  request.max_tokens = std::min(settings.max_tokens, room);
  request.sampler = settings.sampler;

  const RowRules rules{.special = &special, .tools = settings.tools ? &s.tokenizer : nullptr};
  const int64_t max_tokens = check_request(request, s.model, rules);
  const int64_t held = s.cache ? s.cache->length(0) : 0;
  WarmSource source(s.model, s.cache);
  GenerationResult result;
  try {
    result = run_generation(request, max_tokens, rules, NanochatProcedure::engine, &s.model, source, observer);
  } catch (...) {
    if (s.cache) s.cache->truncate(0, std::min(held, s.cache->length(0)));
    throw;
  }

  GeneratedRow& row = result.rows[0];
  ChatTurn turn;
  turn.tokens.assign(row.tokens.begin() + P, row.tokens.end());
  turn.mask.assign(row.mask.begin() + P, row.mask.end());
  turn.finish = row.finish == Finish::length && max_tokens < settings.max_tokens ? Finish::limit : row.finish;
  turn.prefilled = source.prefilled();
  turn.token_forwards = result.token_forwards;
  s.history = std::move(row.tokens);
  s.history.push_back(special.assistant_end);  // whether the model said it or was cut
  turn.history = static_cast<int64_t>(s.history.size());
  return turn;
}

}  // namespace kvproof
