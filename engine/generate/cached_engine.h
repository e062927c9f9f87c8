// The source of logits the engine and chat share: a cache that is prefilled once and decoded from.
#pragma once

#include <optional>

#include "engine/generate/generation_loop.h"
#include "engine/model/model.h"

namespace kvproof {

/// Keys and values that outlive a generation: those of the first tokens of one row. Behind them may lie what the last
/// generation left.
struct KeptPrefix {
  std::vector<TokenId> tokens;
  std::optional<KVCache> cache;
  int64_t capacity = 0;  // that was asked for; an open-ended generation may have raised it
};

class CachedSource final : public LogitSource {
 public:
  /// A fresh cache. max_tokens  what will be generated at most; open_ended: it may well be far less, so the cache grows
  /// store       where the first `kept_tokens` of the prompt are, or will be, held; null where these are 0
  CachedSource(const Model& model, int64_t max_tokens, bool open_ended, KeptPrefix* store = nullptr, int64_t kept_tokens = 0)
      : model_(model), max_tokens_(max_tokens), open_ended_(open_ended), store_(store), kept_tokens_(kept_tokens) {}

  at::Tensor start(const std::vector<TokenId>& prompt, int64_t rows) override;
  at::Tensor next(const std::vector<int64_t>& kept, const std::vector<TokenId>& tokens) override;
  int64_t token_forwards() const override { return token_forwards_; }
  int64_t kv_cache_bytes() const override { return kv_cache_bytes_; }

 private:
  const Model& model_;
  int64_t max_tokens_;
  /// One row with room for exactly `capacity` positions that holds the kept tokens and nothing else.
  KVCache& begin(const std::vector<TokenId>& prompt, int64_t capacity);

  bool open_ended_;
  KeptPrefix* store_;
  int64_t kept_tokens_;
  std::optional<KVCache> own_;
  KVCache* cache_ = nullptr;  // own_, or the store's
  int64_t token_forwards_ = 0, kv_cache_bytes_ = 0;
};

}  // namespace kvproof
