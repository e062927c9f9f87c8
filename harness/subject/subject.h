// The one way the harness sees an engine, whoever wrote it: uncached forwards, a cache to drive, whole generations.
// Torch-free: tokens in, plain numbers out.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/generate/generator.h"

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
};

enum class Path { naive, engine };

/// A cache of the subject. Rows are independent; see KVCache for the meaning of each operation.
class SubjectCache {
 public:
  virtual ~SubjectCache() = default;
  virtual int64_t batch() const = 0;
  virtual int64_t length(int64_t row) const = 0;
  virtual int64_t bytes() const = 0;
  /// Appends the tokens to every row. returns one entry per row: logits of all new positions, or of the last only
  virtual std::vector<LogitRows> forward(const TokenBatch& tokens, LogitsAt at) = 0;
  virtual std::unique_ptr<SubjectCache> clone_rows(std::span<const int64_t> source_rows, int64_t capacity) const = 0;
  virtual void truncate(int64_t row, int64_t length) = 0;
  virtual void reset() = 0;
};

class Subject {
 public:
  virtual ~Subject() = default;
  virtual SubjectInfo info() const = 0;
  /// Full recompute over one row. returns logits of positions first_position … tokens.size() - 1
  virtual LogitRows uncached_logits(const std::vector<TokenId>& tokens, int64_t first_position) = 0;
  virtual std::unique_ptr<SubjectCache> new_cache(int64_t batch, int64_t capacity) = 0;
  virtual GenerationResult generate(Path path, const GenerationRequest& request, GenerationObserver* observer) = 0;
};

/// Our own engine, in this process. model and tokenizer (may be null) must outlive it.
/// naive_logits  where the naive path computes logits: all positions, as nanochat does, or the last
std::unique_ptr<Subject> make_in_process_subject(const Model& model, const Tokenizer* tokenizer, LogitsAt naive_logits = LogitsAt::all);

}  // namespace kvproof
