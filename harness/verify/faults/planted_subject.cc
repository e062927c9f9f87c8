#include "harness/verify/faults/planted_subject.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/error.h"

namespace kvproof {
namespace {

/// A subject whose parts are another's unless overridden.
class Wrapped : public Subject {
 public:
  explicit Wrapped(std::unique_ptr<Subject> inner) : inner_(std::move(inner)) {}
  SubjectInfo info() const override { return inner_->info(); }
  LogitRows uncached_logits(const std::vector<TokenId>& tokens, int64_t first_position, StageSink* sink) override {
    return inner_->uncached_logits(tokens, first_position, sink);
  }
  std::vector<LogitRows> naive_step(const std::vector<std::vector<TokenId>>& rows) override {
    return inner_->naive_step(rows);
  }
  std::unique_ptr<SubjectCache> new_cache(int64_t batch, int64_t capacity) override {
    return inner_->new_cache(batch, capacity);
  }
  GenerationResult generate(Path path, const GenerationRequest& request, GenerationObserver* observer) override {
    return inner_->generate(path, request, observer);
  }

 protected:
  Subject& inner() { return *inner_; }

 private:
  std::unique_ptr<Subject> inner_;
};

class ChangedGeneration final : public Wrapped {
 public:
  ChangedGeneration(std::unique_ptr<Subject> inner, EngineGeneration generate)
      : Wrapped(std::move(inner)), generate_(std::move(generate)) {}
  GenerationResult generate(Path path, const GenerationRequest& request, GenerationObserver* observer) override {
    if (path == Path::naive) return inner().generate(path, request, observer);
    return generate_(inner(), request, observer);
  }

 private:
  EngineGeneration generate_;
};

class OverflowingCache final : public SubjectCache {
 public:
  explicit OverflowingCache(std::unique_ptr<SubjectCache> inner) : inner_(std::move(inner)) {}

  int64_t batch() const override { return inner_->batch(); }
  int64_t length(int64_t row) const override { return inner_->length(row); }
  int64_t capacity() const override { return inner_->capacity(); }
  int64_t bytes() const override { return inner_->bytes(); }
  std::vector<LogitRows> forward(const TokenBatch& tokens, LogitsAt at, StageSink* sink) override {
    bool fits = true;
    int64_t needed = 0;
    for (int64_t row = 0; row < std::min(tokens.batch, batch()); ++row) {
      needed = std::max(needed, length(row) + tokens.row_length(row));
      fits &= length(row) + tokens.row_length(row) <= capacity();
    }
    if (fits) return inner_->forward(tokens, at, sink);
    std::vector<int64_t> rows(batch());
    std::iota(rows.begin(), rows.end(), 0);
    return inner_->clone_rows(rows, needed)->forward(tokens, at, sink);  // the copy is thrown away
  }
  std::unique_ptr<SubjectCache> clone_rows(std::span<const int64_t> source_rows, int64_t capacity) const override {
    return std::make_unique<OverflowingCache>(inner_->clone_rows(source_rows, capacity));
  }
  void truncate(int64_t row, int64_t length) override { inner_->truncate(row, length); }
  void reset() override { inner_->reset(); }
  bool reserve(int64_t capacity) override { return inner_->reserve(capacity); }
  bool retain_rows(std::span<const int64_t> rows) override { return inner_->retain_rows(rows); }
  std::optional<CacheSlots> contents(int64_t row, int64_t layer, int64_t first, int64_t count) const override {
    return inner_->contents(row, layer, first, count);
  }
  std::optional<std::vector<TokenId>> tokens(int64_t row) const override { return inner_->tokens(row); }
  std::vector<StorageRange> storage(int64_t row) const override { return inner_->storage(row); }
  bool poison_tail() override { return inner_->poison_tail(); }
  bool perturb(int64_t row, int64_t layer, int64_t position, bool keys, double delta) override {
    return inner_->perturb(row, layer, position, keys, delta);
  }

 private:
  std::unique_ptr<SubjectCache> inner_;
};

class OverflowingSubject final : public Wrapped {
 public:
  using Wrapped::Wrapped;
  std::unique_ptr<SubjectCache> new_cache(int64_t batch, int64_t capacity) override {
    return std::make_unique<OverflowingCache>(inner().new_cache(batch, capacity));
  }
};

}  // namespace

std::unique_ptr<Subject> change_generation(std::unique_ptr<Subject> subject, EngineGeneration generate) {
  return std::make_unique<ChangedGeneration>(std::move(subject), std::move(generate));
}

std::unique_ptr<Subject> drop_overflow(std::unique_ptr<Subject> subject) {
  return std::make_unique<OverflowingSubject>(std::move(subject));
}

}  // namespace kvproof
