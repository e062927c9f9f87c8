#include "harness/subject/driven_generation.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "engine/error.h"
#include "engine/generate/generation_loop.h"

namespace kvproof {
namespace {

/// Each row's last logits, (B, V) in float64: what any dtype holds is exact there.
at::Tensor to_tensor(const std::vector<LogitRows>& rows) {
  const int64_t vocab = rows.front().vocab;
  at::Tensor logits = at::empty({static_cast<int64_t>(rows.size()), vocab}, at::kDouble);  // (B, V)
  auto* to = logits.mutable_data_ptr<double>();
  for (const LogitRows& row : rows) to = std::copy(row.values.end() - vocab, row.values.end(), to);
  return logits;
}

std::vector<int64_t> up_to(int64_t n) {
  std::vector<int64_t> numbers(static_cast<std::size_t>(n));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

// One uncached forward per row and step.
class UncachedSource final : public RecomputingSource {
 public:
  explicit UncachedSource(Subject& subject) : subject_(subject) {}

 protected:
  at::Tensor recompute(const std::vector<std::vector<TokenId>>& sequences) override {
    return to_tensor(subject_.naive_step(sequences));
  }

 private:
  Subject& subject_;
};

// A cache that is prefilled once and decoded from: of all rows, or one per row where there is none of several.
class CacheSource final : public LogitSource {
 public:
  /// max_tokens  what will be generated at most; open_ended: it may well be far less, so the caches grow
  /// store       holds `kept_tokens` first tokens of the prompt, or will; null where these are 0
  CacheSource(Subject& subject, int64_t max_tokens, bool open_ended, KeptCache* store, int64_t kept_tokens)
      : subject_(subject), can_(subject.info().can), max_tokens_(max_tokens),
        grows_(open_ended && can_.has(Ability::reserve)), store_(store), kept_tokens_(kept_tokens) {}

  at::Tensor start(const std::vector<TokenId>& prompt, int64_t rows) override {
    const auto P = static_cast<int64_t>(prompt.size());
    const int64_t capacity = grows_ ? P + std::min<int64_t>(max_tokens_, 256) : P + max_tokens_ - 1;
    together_ = rows == 1 || can_.has(Ability::batch);
    const bool cloned = rows > 1 && can_.has(Ability::clone) && (together_ || can_.has(Ability::caches));
    const int64_t caches = together_ ? 1 : rows, rows_of_each = together_ ? rows : 1;
    std::vector<LogitRows> logits;
    if (kept_tokens_ > 0 && rows == 1) {
      borrowed_ = &begin_kept(prompt, capacity);
      logits = prefill_rest(prompt, *borrowed_);
    } else if (cloned) {
      const auto own = kept_tokens_ > 0 ? nullptr : subject_.new_cache(1, P);
      SubjectCache* prefill = own ? own.get() : &begin_kept(prompt, P);
      logits = prefill_rest(prompt, *prefill);
      const std::vector<int64_t> source(static_cast<std::size_t>(rows_of_each), 0);
      for (int64_t i = 0; i < caches; ++i) caches_.push_back(prefill->clone_rows(source, capacity));
    } else {
      for (int64_t i = 0; i < caches; ++i) prefill_one(prompt, rows_of_each, capacity, logits);
    }
    places_ = up_to(rows);
    note_bytes();
    return to_tensor(logits);  // (1, V) where one prefill served all rows, else (B, V)
  }

  at::Tensor next(const std::vector<int64_t>& kept, const std::vector<TokenId>& tokens) override {
    std::vector<int64_t> places;
    for (const int64_t i : kept) places.push_back(places_[static_cast<std::size_t>(i)]);
    places_ = std::move(places);
    if (together_) return next_together(tokens);
    std::vector<LogitRows> logits;
    for (std::size_t i = 0; i < caches_.size(); ++i)  // those of rows that ended cost nothing from now on
      if (!std::binary_search(places_.begin(), places_.end(), static_cast<int64_t>(i))) caches_[i].reset();
    for (std::size_t i = 0; i < places_.size(); ++i) {
      SubjectCache& cache = *caches_[static_cast<std::size_t>(places_[i])];
      make_room(cache);
      logits.push_back(cache.forward(TokenBatch::single({tokens[i]}), LogitsAt::last).front());
      ++token_forwards_;
    }
    note_bytes();
    return to_tensor(logits);  // (b, V)
  }

  int64_t token_forwards() const override { return token_forwards_; }
  int64_t kv_cache_bytes() const override { return kv_cache_bytes_; }

 private:
  /// The kept cache with the kept tokens in it and nothing else.
  SubjectCache& begin_kept(const std::vector<TokenId>& prompt, int64_t capacity) {
    const std::vector<TokenId> wanted(prompt.begin(), prompt.begin() + kept_tokens_);
    if (store_->tokens != wanted || store_->capacity != capacity) {
      *store_ = {};  // stands for nothing until it is filled, and some engines have one cache at a time
      store_->cache = subject_.new_cache(1, capacity);
      store_->capacity = capacity;
      store_->cache->forward(TokenBatch::single(wanted), LogitsAt::last);
      store_->tokens = wanted;
    } else {
      store_->cache->truncate(0, kept_tokens_);
    }
    return *store_->cache;
  }

  std::vector<LogitRows> prefill_rest(const std::vector<TokenId>& prompt, SubjectCache& cache) {
    token_forwards_ += static_cast<int64_t>(prompt.size()) - kept_tokens_;
    return cache.forward(TokenBatch::single({prompt.begin() + kept_tokens_, prompt.end()}), LogitsAt::last);
  }

  /// Of all rows, where they are together.
  SubjectCache& together() { return borrowed_ ? *borrowed_ : *caches_.front(); }

  void prefill_one(const std::vector<TokenId>& prompt, int64_t rows, int64_t capacity, std::vector<LogitRows>& logits) {
    const auto P = static_cast<int64_t>(prompt.size());
    TokenBatch batch{rows, P, {}, {}};
    for (int64_t row = 0; row < rows; ++row) batch.ids.insert(batch.ids.end(), prompt.begin(), prompt.end());
    caches_.push_back(subject_.new_cache(rows, capacity));
    for (LogitRows& row : caches_.back()->forward(batch, LogitsAt::last)) logits.push_back(std::move(row));
    token_forwards_ += rows * P;
  }

  at::Tensor next_together(const std::vector<TokenId>& tokens) {
    SubjectCache& cache = together();
    if (static_cast<int64_t>(places_.size()) < cache.batch() && cache.retain_rows(places_))
      places_ = up_to(static_cast<int64_t>(places_.size()));
    // Rows that ended and cannot leave are fed on; what they say is nobody's.
    std::vector<TokenId> all(static_cast<std::size_t>(cache.batch()), tokens.front());
    for (std::size_t i = 0; i < places_.size(); ++i) all[static_cast<std::size_t>(places_[i])] = tokens[i];
    make_room(cache);
    std::vector<LogitRows> logits = cache.forward(TokenBatch::column(all), LogitsAt::last);
    token_forwards_ += cache.batch();
    note_bytes();
    std::vector<LogitRows> wanted;
    for (const int64_t place : places_) wanted.push_back(std::move(logits[static_cast<std::size_t>(place)]));
    return to_tensor(wanted);  // (b, V)
  }

  void make_room(SubjectCache& cache) {
    if (grows_ && cache.length(0) == cache.capacity()) cache.reserve(2 * cache.capacity());
  }

  void note_bytes() {
    int64_t bytes = borrowed_ ? borrowed_->bytes() : 0;
    for (const auto& cache : caches_) bytes += cache ? cache->bytes() : 0;
    kv_cache_bytes_ = std::max(kv_cache_bytes_, bytes);
  }

  Subject& subject_;
  const Abilities can_;
  int64_t max_tokens_;
  bool grows_;
  KeptCache* store_;
  int64_t kept_tokens_;
  SubjectCache* borrowed_ = nullptr;                   // the kept one, decoded from by one row
  bool together_ = true;                               // all rows are in one cache
  std::vector<std::unique_ptr<SubjectCache>> caches_;  // one, or one per row; null: the row ended
  std::vector<int64_t> places_;                        // of the rows that go on: rows of the cache, or caches
  int64_t token_forwards_ = 0, kv_cache_bytes_ = 0;
};

}  // namespace

GenerationResult drive_generation(Subject& subject, Path path, const GenerationRequest& request,
                                  const SpecialTokens* specials, GenerationObserver* observer, KeptCache* kept) {
  const SubjectInfo info = subject.info();
  const bool ours = info.rotary_len == 10 * info.sequence_len;  // nanochat's tables
  const RequestLimits limits{info.vocab_size, info.rotary_len,
                             ours ? fmt::format("10 x sequence_len {}", info.sequence_len) : info.name};
  const RowRules rules{.special = request.stop ? specials : nullptr};
  const int64_t max_tokens = check_request(request, limits, rules);
  if (path == Path::naive) {
    UncachedSource source(subject);
    return run_generation(request, max_tokens, rules, NanochatProcedure::naive, nullptr, source, observer);
  }
  if (request.num_samples > 1 && !info.can.has(Ability::batch) && !info.can.has(Ability::caches))
    throw ArgumentError("num_samples",
                        fmt::format("must be 1, got {}: {} holds one row at a time", request.num_samples, info.name));
  if (request.kept_prefix > 0 && (!kept || !info.can.has(Ability::truncate)))
    throw ArgumentError("kept_prefix", fmt::format("must be 0: {} cannot truncate a cache to what is to be kept", info.name));
  if (request.kept_prefix > 0 && request.num_samples > 1 && !(info.can.has(Ability::clone) && info.can.has(Ability::batch)))
    throw ArgumentError("kept_prefix", fmt::format("must be 0 for several rows: {} cannot clone a row into a batch", info.name));
  if (kept && request.kept_prefix == 0) *kept = {};
  CacheSource source(subject, max_tokens, !request.max_tokens, kept, request.kept_prefix);
  return run_generation(request, max_tokens, rules, NanochatProcedure::engine, nullptr, source, observer);
}

}  // namespace kvproof
