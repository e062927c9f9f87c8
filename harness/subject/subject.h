// The one way the harness sees an engine, whoever wrote it: uncached forwards, a cache to drive, whole generations.
// Torch-free: tokens in, plain numbers out.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/generate/generator.h"
#include "engine/model/stage.h"
#include "harness/subject/ability.h"

namespace kvproof {

/// Logits of consecutive positions of one row, in double whatever the engine's dtype.
struct LogitRows {
  int64_t first_position = 0, rows = 0, vocab = 0;
  std::vector<double> values;  // (rows, vocab) row-major

  std::span<const double> at(int64_t position) const {
    return {values.data() + (position - first_position) * vocab, static_cast<std::size_t>(vocab)};
  }
};

struct SubjectInfo {
  std::string name;  // "kvproof aten"
  std::string backend, dtype, device;
  int threads = 0;
  int64_t vocab_size = 0, rotary_len = 0;
  int64_t n_layer = 0, n_head = 0, n_kv_head = 0, head_dim = 0, n_embd = 0, sequence_len = 0;
  int64_t n_inner = 0;                // hidden units between an mlp's two matrices; 0: not known
  std::vector<int64_t> windows = {};  // (n_layer) keys back, beside its own; kUnlimited: all
  Abilities can = Abilities::all();
  Abilities generate_uses = Abilities::all();  // what its own generation relies on
  bool keys_rotated = true;                    // cached keys are as they are after position encoding
};

/// One stage of a forward, for one row: its counted positions in order.
struct StageValues {
  Stage stage;
  int64_t layer = 0, row = 0;
  int64_t count = 0, width = 0;    // positions; numbers per position: C, H·D or G·D, heads side by side
  std::span<const double> values;  // (count, width), valid during the call
};

/// Is shown the stages of a forward as they are reached.
class StageSink {
 public:
  virtual ~StageSink() = default;
  virtual void on_stage(const StageValues& values) = 0;
};

/// Keys and values of consecutive slots of one row and layer; slot i is position i's.
struct CacheSlots {
  int64_t count = 0, kv_heads = 0, head_dim = 0;
  std::vector<double> keys, values;  // (count, G, D)
  std::vector<bool> present = {};    // (count) where some positions are no longer kept; empty: all are there

  bool has(int64_t i) const { return present.empty() || present[static_cast<std::size_t>(i)]; }
};

/// A stretch of memory that belongs to one row of a cache.
struct StorageRange {
  const void *begin = nullptr, *end = nullptr;
};

enum class Path { naive, engine };

/// A cache of the subject. Rows are independent; see KVCache for the meaning of each operation. What lies outside
/// SubjectInfo::can it answers with nothing, false or a SubjectError, and verification lists it as not covered.
class SubjectCache {
 public:
  virtual ~SubjectCache() = default;
  virtual int64_t batch() const = 0;
  virtual int64_t length(int64_t row) const = 0;
  virtual int64_t capacity() const = 0;
  virtual int64_t bytes() const = 0;  // 0: unknown
  /// Appends the tokens to every row. returns one entry per row: logits of all new positions, or of the last only
  /// throws CapacityError; the cache is then unchanged
  virtual std::vector<LogitRows> forward(const TokenBatch& tokens, LogitsAt at, StageSink* sink = nullptr) = 0;
  virtual std::unique_ptr<SubjectCache> clone_rows(std::span<const int64_t> source_rows, int64_t capacity) const = 0;
  virtual void truncate(int64_t row, int64_t length) = 0;
  virtual void reset() = 0;
  virtual bool reserve(int64_t capacity) { return false; }
  virtual bool retain_rows(std::span<const int64_t> rows) { return false; }

  /// Slots first … first + count - 1 as they lie in memory, held or not.
  virtual std::optional<CacheSlots> contents(int64_t row, int64_t layer, int64_t first, int64_t count) const {
    return {};
  }
  /// The token each held position came from; nothing where the subject does not know.
  virtual std::optional<std::vector<TokenId>> tokens(int64_t row) const { return {}; }
  /// Where a row's keys and values lie; empty: unknown.
  virtual std::vector<StorageRange> storage(int64_t row) const { return {}; }
  /// Fills every slot that is not held with NaN.
  virtual bool poison_tail() { return false; }
  /// Adds delta to every key, or value, of a position in one layer.
  virtual bool perturb(int64_t row, int64_t layer, int64_t position, bool keys, double delta) { return false; }
};

class Subject {
 public:
  virtual ~Subject() = default;
  virtual SubjectInfo info() const = 0;
  /// Full recompute over one row. returns logits of positions first_position … tokens.size() - 1
  virtual LogitRows uncached_logits(const std::vector<TokenId>& tokens, int64_t first_position,
                                    StageSink* sink = nullptr) = 0;
  /// One step of the naive path in the shapes in which `generate` runs it, so that its rounding is the same: the logits
  /// that follow each row. rows  equally long
  virtual std::vector<LogitRows> naive_step(const std::vector<std::vector<TokenId>>& rows) {
    std::vector<LogitRows> logits;  // here one row at a time
    for (const auto& row : rows) logits.push_back(uncached_logits(row, static_cast<int64_t>(row.size()) - 1));
    return logits;
  }
  virtual std::unique_ptr<SubjectCache> new_cache(int64_t batch, int64_t capacity) = 0;
  virtual GenerationResult generate(Path path, const GenerationRequest& request, GenerationObserver* observer) = 0;

  /// What an engine's own loop generates after the prompt, greedily and without stop tokens, where `generate` drives it
  /// from outside. One entry per row; nothing: `generate` is its own loop, or it has none.
  virtual std::optional<std::vector<std::vector<TokenId>>> own_generation(const std::vector<TokenId>& prompt,
                                                                          int64_t rows, int64_t max_tokens) {
    return {};
  }
  /// false: the number of threads cannot be changed here.
  virtual bool use_threads(int threads) { return false; }
  /// What the engine's own clock said of its latest forward; nothing: it has none.
  virtual std::optional<int64_t> own_forward_ns() const { return {}; }
};

/// Our own engine, in this process. model and tokenizer (may be null) must outlive it.
/// naive_logits  where the naive path computes logits: all positions, as nanochat does, or the last
std::unique_ptr<Subject> make_in_process_subject(const Model& model, const Tokenizer* tokenizer,
                                                 LogitsAt naive_logits = LogitsAt::all);

}  // namespace kvproof
