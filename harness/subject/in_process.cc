// Our own engine behind the harness's one way of seeing an engine.
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "engine/error.h"
#include "engine/model/dtype.h"
#include "engine/model/model.h"
#include "harness/subject/subject.h"

namespace kvproof {
namespace {

/// Any tensor as doubles on the host, in row-major order.
std::vector<double> to_doubles(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kCPU, at::kDouble).contiguous();
  const double* data = host.const_data_ptr<double>();
  return {data, data + host.numel()};
}

/// logits (rows, V) on any device, as doubles on the host.
LogitRows to_rows(const at::Tensor& logits, int64_t first_position) {
  return {first_position, logits.size(0), logits.size(1), to_doubles(logits)};
}

/// Shows a sink the stages of one forward, row by row, while it lives.
class TapScope {
 public:
  /// lengths  (B) counted positions of each row
  TapScope(const Model& model, std::vector<int64_t> lengths, StageSink* sink) : model_(model), on_(sink != nullptr) {
    if (!on_) return;
    model_.set_stage_tap([lengths = std::move(lengths), sink](Stage stage, int64_t layer, const at::Tensor& values) {
      for (int64_t row = 0; row < static_cast<int64_t>(lengths.size()); ++row) {
        at::Tensor of_row = values.select(0, row);               // (T, C), or (heads, T, D)
        if (of_row.dim() == 3) of_row = of_row.transpose(0, 1);  // (T, heads, D)
        of_row = of_row.narrow(0, 0, lengths[row]);
        const std::vector<double> numbers = to_doubles(of_row);
        sink->on_stage({stage, layer, row, lengths[row], static_cast<int64_t>(numbers.size()) / lengths[row], numbers});
      }
    });
  }
  ~TapScope() {
    if (on_) model_.set_stage_tap(nullptr);
  }
  TapScope(const TapScope&) = delete;
  TapScope& operator=(const TapScope&) = delete;

 private:
  const Model& model_;
  bool on_;
};

class InProcessCache : public SubjectCache {
 public:
  InProcessCache(const Model& model, KVCache cache) : model_(model), cache_(std::move(cache)) {}

  int64_t batch() const override { return cache_.batch(); }
  int64_t length(int64_t row) const override { return cache_.length(row); }
  int64_t capacity() const override { return cache_.capacity(); }
  int64_t bytes() const override { return cache_.bytes(); }

  std::vector<LogitRows> forward(const TokenBatch& tokens, LogitsAt at, StageSink* sink) override {
    std::vector<int64_t> before, counts;
    for (int64_t row = 0; row < batch(); ++row) {
      before.push_back(cache_.length(row));
      counts.push_back(row < tokens.batch ? tokens.row_length(row) : 0);
    }
    const TapScope taps(model_, counts, sink);
    const at::Tensor logits = model_.forward(tokens, cache_, at);  // (B, V) or (B, T, V)
    std::vector<LogitRows> rows;
    for (int64_t row = 0; row < batch(); ++row) {
      rows.push_back(at == LogitsAt::last ? to_rows(logits[row].unsqueeze(0), before[row] + counts[row] - 1)
                                          : to_rows(logits[row].narrow(0, 0, counts[row]), before[row]));
    }
    return rows;
  }

  std::unique_ptr<SubjectCache> clone_rows(std::span<const int64_t> source_rows, int64_t capacity) const override {
    return std::make_unique<InProcessCache>(model_, cache_.clone_rows(source_rows, capacity));
  }
  void truncate(int64_t row, int64_t length) override { cache_.truncate(row, length); }
  void reset() override { cache_.reset(); }
  bool reserve(int64_t capacity) override {
    cache_.reserve(capacity);
    return true;
  }
  bool retain_rows(std::span<const int64_t> rows) override {
    cache_.retain_rows(rows);
    return true;
  }

  std::optional<CacheSlots> contents(int64_t row, int64_t layer, int64_t first, int64_t count) const override {
    const auto slots = [&](const at::Tensor& all) {  // (B, G, capacity, D)
      return to_doubles(all.select(0, row).narrow(1, first, count).transpose(0, 1));
    };
    const at::Tensor keys = cache_.keys(layer);
    return CacheSlots{count, keys.size(1), keys.size(3), slots(keys), slots(cache_.values(layer))};
  }
  std::optional<std::vector<TokenId>> tokens(int64_t row) const override { return cache_.tokens(row); }

  std::vector<StorageRange> storage(int64_t row) const override {
    std::vector<StorageRange> ranges;
    const int64_t layers = model_.config().n_layer;
    for (int64_t layer = 0; layer < layers; ++layer) {
      for (const at::Tensor& all : {cache_.keys(layer), cache_.values(layer)}) {
        for (int64_t head = 0; head < all.size(1); ++head) {
          const at::Tensor of_head = all.select(0, row).select(0, head);  // (capacity, D), dense
          const auto* begin = static_cast<const char*>(of_head.const_data_ptr());
          ranges.push_back({begin, begin + of_head.numel() * of_head.element_size()});
        }
      }
    }
    return ranges;
  }

  bool poison_tail() override {
    const c10::InferenceMode guard;
    for (int64_t row = 0; row < batch(); ++row) {
      for (int64_t layer = 0; layer < model_.config().n_layer; ++layer) {
        for (const at::Tensor& all : {cache_.keys(layer), cache_.values(layer)}) {
          all.select(0, row)
              .narrow(1, length(row), capacity() - length(row))
              .fill_(std::numeric_limits<double>::quiet_NaN());
        }
      }
    }
    return true;
  }

  bool perturb(int64_t row, int64_t layer, int64_t position, bool keys, double delta) override {
    const c10::InferenceMode guard;
    (keys ? cache_.keys(layer) : cache_.values(layer)).select(0, row).select(1, position).add_(delta);
    return true;
  }

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
    const GptConfig& c = model_.config();
    SubjectInfo info{.name = "kvproof " + model_.backend(),
                     .backend = model_.backend(),
                     .dtype = dtype_word(model_.dtype()),
                     .device = model_.device().str(),
                     .threads = set_threads(0),
                     .vocab_size = c.vocab_size,
                     .rotary_len = c.rotary_len(),
                     .n_layer = c.n_layer,
                     .n_head = c.n_head,
                     .n_kv_head = c.n_kv_head,
                     .head_dim = c.head_dim(),
                     .n_embd = c.n_embd,
                     .sequence_len = c.sequence_len,
                     .n_inner = c.mlp_width(),
                     .windows = {}};
    for (int64_t i = 0; i < c.n_layer; ++i) info.windows.push_back(c.window(i));
    return info;
  }

  LogitRows uncached_logits(const std::vector<TokenId>& tokens, int64_t first_position, StageSink* sink) override {
    const auto length = static_cast<int64_t>(tokens.size());
    if (first_position < 0 || first_position >= std::max<int64_t>(length, 1)) {
      throw ArgumentError("first_position", fmt::format("must be in [0, {}], got {}", length - 1, first_position));
    }
    const TokenBatch batch = TokenBatch::single(tokens);
    const TapScope taps(model_, {length}, sink);
    // One position is computed in the shapes in which the naive generator computes it, so that errors are its own.
    if (first_position == length - 1 && naive_logits_ == LogitsAt::last) {
      return to_rows(model_.forward(batch, LogitsAt::last), first_position);  // (1, V)
    }
    const at::Tensor all = model_.forward(batch, LogitsAt::all)[0];  // (T, V)
    return to_rows(all.narrow(0, first_position, length - first_position), first_position);
  }

  std::vector<LogitRows> naive_step(const std::vector<std::vector<TokenId>>& rows) override {
    const c10::InferenceMode guard;
    const at::Tensor logits = naive_logits(model_, rows, naive_logits_);  // (B, V)
    std::vector<LogitRows> result;
    const auto last = static_cast<int64_t>(rows.front().size()) - 1;
    for (std::size_t row = 0; row < rows.size(); ++row)
      result.push_back(to_rows(logits.narrow(0, static_cast<int64_t>(row), 1), last));
    return result;
  }

  std::unique_ptr<SubjectCache> new_cache(int64_t batch, int64_t capacity) override {
    return std::make_unique<InProcessCache>(model_, model_.new_cache(batch, capacity));
  }

  GenerationResult generate(Path path, const GenerationRequest& request, GenerationObserver* observer) override {
    return (path == Path::naive ? naive_ : engine_)->generate(request, observer);
  }

  bool use_threads(int threads) override {
    set_threads(threads);
    return true;
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
