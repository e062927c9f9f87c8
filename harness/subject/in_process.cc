// Our own engine behind the harness's one way of seeing an engine.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/error.h"
#include "engine/model/dtype.h"
#include "engine/model/model.h"
#include "harness/subject/subject.h"

namespace kvproof {
namespace {

/// logits (rows, V) on any device, as doubles on the host.
LogitRows to_rows(const at::Tensor& logits, int64_t first_position) {
  const at::Tensor host = logits.to(at::kCPU, at::kDouble).contiguous();
  const double* data = host.const_data_ptr<double>();
  return {first_position, host.size(0), host.size(1), std::vector<double>(data, data + host.numel())};
}

class InProcessCache : public SubjectCache {
 public:
  InProcessCache(const Model& model, KVCache cache) : model_(model), cache_(std::move(cache)) {}

  int64_t batch() const override { return cache_.batch(); }
  int64_t length(int64_t row) const override { return cache_.length(row); }
  int64_t bytes() const override { return cache_.bytes(); }

  std::vector<LogitRows> forward(const TokenBatch& tokens, LogitsAt at) override {
    std::vector<int64_t> before(batch());
    for (int64_t row = 0; row < batch(); ++row) before[row] = cache_.length(row);
    const at::Tensor logits = model_.forward(tokens, cache_, at);  // (B, V) or (B, T, V)
    std::vector<LogitRows> rows;
    for (int64_t row = 0; row < batch(); ++row) {
      const int64_t counted = tokens.row_length(row);
      rows.push_back(at == LogitsAt::last ? to_rows(logits[row].unsqueeze(0), before[row] + counted - 1)
                                          : to_rows(logits[row].narrow(0, 0, counted), before[row]));
    }
    return rows;
  }

  std::unique_ptr<SubjectCache> clone_rows(std::span<const int64_t> source_rows, int64_t capacity) const override {
    return std::make_unique<InProcessCache>(model_, cache_.clone_rows(source_rows, capacity));
  }
  void truncate(int64_t row, int64_t length) override { cache_.truncate(row, length); }
  void reset() override { cache_.reset(); }

 private:
  const Model& model_;
  KVCache cache_;
};

class InProcessSubject : public Subject {
 public:
  InProcessSubject(const Model& model, const Tokenizer* tokenizer, LogitsAt naive_logits)
      : model_(model), naive_logits_(naive_logits),
        naive_(make_naive_generator(model, tokenizer ? &tokenizer->special() : nullptr, naive_logits)),
        engine_(make_cached_engine(model, tokenizer)) {}

  SubjectInfo info() const override {
    const std::string backend = "aten";
    return {"kvproof " + backend,        backend,
            dtype_word(model_.dtype()),  model_.device().str(),
            at::get_num_threads(),       model_.config().vocab_size,
            model_.config().rotary_len()};
  }

  LogitRows uncached_logits(const std::vector<TokenId>& tokens, int64_t first_position) override {
    const auto length = static_cast<int64_t>(tokens.size());
    if (first_position < 0 || first_position >= std::max<int64_t>(length, 1)) {
      throw ArgumentError("first_position", fmt::format("must be in [0, {}], got {}", length - 1, first_position));
    }
    const TokenBatch batch = TokenBatch::single(tokens);
    // One position is computed in the shapes in which the naive generator computes it, so that errors are its own.
    if (first_position == length - 1 && naive_logits_ == LogitsAt::last) {
      return to_rows(model_.forward(batch, LogitsAt::last), first_position);  // (1, V)
    }
    const at::Tensor all = model_.forward(batch, LogitsAt::all)[0];  // (T, V)
    return to_rows(all.narrow(0, first_position, length - first_position), first_position);
  }

  std::unique_ptr<SubjectCache> new_cache(int64_t batch, int64_t capacity) override {
    return std::make_unique<InProcessCache>(model_, model_.new_cache(batch, capacity));
  }

  GenerationResult generate(Path path, const GenerationRequest& request, GenerationObserver* observer) override {
    return (path == Path::naive ? naive_ : engine_)->generate(request, observer);
  }

 private:
  const Model& model_;
  LogitsAt naive_logits_;
  std::unique_ptr<Generator> naive_, engine_;
};

}  // namespace

std::unique_ptr<Subject> make_in_process_subject(const Model& model, const Tokenizer* tokenizer,
                                                 LogitsAt naive_logits) {
  return std::make_unique<InProcessSubject>(model, tokenizer, naive_logits);
}

}  // namespace kvproof
