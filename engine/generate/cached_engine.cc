#include "engine/generate/cached_engine.h"

#include <algorithm>

#include "engine/error.h"

namespace kvproof {

at::Tensor CachedSource::start(const std::vector<TokenId>& prompt, int64_t rows) {
  const auto P = static_cast<int64_t>(prompt.size());
  const int64_t capacity = open_ended_ ? P + std::min<int64_t>(max_tokens_, 256) : P + max_tokens_ - 1;
  cache_ = &begin(prompt, rows == 1 ? capacity : P);
  at::Tensor logits =
      model_.forward(TokenBatch::single({prompt.begin() + kept_tokens_, prompt.end()}), *cache_, LogitsAt::last);  // (1, V)
  token_forwards_ += P - kept_tokens_;
  if (rows > 1) {
    own_ = cache_->clone_rows(std::vector<int64_t>(rows, 0), capacity);
    cache_ = &*own_;
  }
  kv_cache_bytes_ = cache_->bytes();
  return logits;
}

KVCache& CachedSource::begin(const std::vector<TokenId>& prompt, int64_t capacity) {
  if (kept_tokens_ == 0) return own_.emplace(model_.new_cache(1, capacity));
  const std::vector<TokenId> wanted(prompt.begin(), prompt.begin() + kept_tokens_);
  if (store_->tokens != wanted || store_->capacity != capacity) {
    *store_ = {};  // stands for nothing until it is filled
    store_->cache = model_.new_cache(1, capacity);
    store_->capacity = capacity;
    model_.forward(TokenBatch::single(wanted), *store_->cache, LogitsAt::last);
    store_->tokens = wanted;
  }
  store_->cache->truncate(0, kept_tokens_);
  return *store_->cache;
}

at::Tensor CachedSource::next(const std::vector<int64_t>& kept, const std::vector<TokenId>& tokens) {
  cache_->retain_rows(kept);
  if (cache_->length(0) == cache_->capacity()) {
    cache_->reserve(2 * cache_->capacity());
    kv_cache_bytes_ = std::max(kv_cache_bytes_, cache_->bytes());
  }
  token_forwards_ += static_cast<int64_t>(kept.size());
  return model_.forward(TokenBatch::column(tokens), *cache_, LogitsAt::last);  // (b, V)
}

namespace {

class CachedEngine final : public Generator {
 public:
  CachedEngine(const Model& model, const Tokenizer* tokenizer) : model_(model), tokenizer_(tokenizer) {}

  GenerationResult generate(const GenerationRequest& request, GenerationObserver* observer) override {
    if (request.tools && !tokenizer_) throw ArgumentError("tools", "need a tokenizer, and there is none; turn tools off");
    const RowRules rules{.special = request.stop && tokenizer_ ? &tokenizer_->special() : nullptr,
                         // Forced tokens are a recorded stream: the tools' answers are in it already.
                         .tools = request.tools && request.forced.empty() ? tokenizer_ : nullptr};
    const int64_t max_tokens = check_request(request, model_, rules);
    if (request.kept_prefix == 0) kept_ = {};
    CachedSource source(model_, max_tokens, !request.max_tokens, &kept_, request.kept_prefix);
    return run_generation(request, max_tokens, rules, NanochatProcedure::engine, &model_, source, observer);
  }

 private:
  const Model& model_;
  const Tokenizer* tokenizer_;
  KeptPrefix kept_;
};

}  // namespace

std::unique_ptr<Generator> make_cached_engine(const Model& model, const Tokenizer* tokenizer) {
  return std::make_unique<CachedEngine>(model, tokenizer);
}

}  // namespace kvproof
