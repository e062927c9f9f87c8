// The source of logits the engine and chat share: a cache that is prefilled once and decoded from.
#pragma once

#include <optional>

#include "engine/generate/generation_loop.h"
#include "engine/model/model.h"

namespace kvproof {

class CachedSource final : public LogitSource {
 public:
  /// A fresh cache. max_tokens  what will be generated at most; open_ended: it may well be far less, so the cache grows
  CachedSource(const Model& model, int64_t max_tokens, bool open_ended)
      : model_(model), max_tokens_(max_tokens), open_ended_(open_ended) {}

  at::Tensor start(const std::vector<TokenId>& prompt, int64_t rows) override;
  at::Tensor next(const std::vector<int64_t>& kept, const std::vector<TokenId>& tokens) override;
  int64_t token_forwards() const override { return token_forwards_; }
  int64_t kv_cache_bytes() const override { return kv_cache_bytes_; }

 private:
  const Model& model_;
  int64_t max_tokens_;
  bool open_ended_;
  std::optional<KVCache> cache_;
  int64_t token_forwards_ = 0, kv_cache_bytes_ = 0;
};

}  // namespace kvproof
