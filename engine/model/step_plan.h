// What one forward does with positions, masks and the cache, decided in one place before any tensor is touched.
//
// Every backend executes a StepPlan and computes none of it again; whatever is wrong with a cache is wrong here, in the
// cache's storage, or in the execution of one named step.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/model/gpt_config.h"

namespace kvproof {

class KVCache;

/// Token ids of one forward: B rows of T, padded where rows are shorter.
struct TokenBatch {
  int64_t batch = 0, length = 0;   // B, T
  std::vector<int32_t> ids;        // (B, T) row-major; padding may hold any valid id
  std::vector<int64_t> lengths;    // (B) tokens that count, 1 … T; empty: all of them

  int64_t row_length(int64_t row) const { return lengths.empty() ? length : lengths[row]; }
  std::span<const int32_t> row(int64_t b) const { return {ids.data() + b * length, static_cast<std::size_t>(row_length(b))}; }

  static TokenBatch single(std::vector<int32_t> ids);           // (1, T)
  static TokenBatch column(const std::vector<int32_t>& tokens);  // (B, 1)
};

/// Which positions' logits a forward returns.
enum class LogitsAt { last, all };

inline constexpr int32_t kNoToken = -1;

/// One row of the batch.
struct RowPlan {
  int64_t position;        // absolute position of the row's first token: what RoPE rotates by
  int64_t length;          // tokens that count, 1 … T
  int64_t cache_row;       // the cache's row that is read and written
  int64_t write_at;        // slot of the row's first key and value
  int64_t advance;         // how far the row's length moves afterwards
  int32_t previous_token;  // smear reads it before the first token; kNoToken: nothing precedes
};

/// One layer. Token t of a row (absolute p = position + t, slot s = write_at + t) sees the keys in slots
/// max(key_begin, s - window) … min(key_end - 1, s + diagonal).
struct LayerPlan {
  int64_t window;    // keys back, kUnlimited: all
  int64_t diagonal;  // 0: causal
  double q_scale, k_scale;   // after QK-norm
  double attention_scale;    // 1 / sqrt(head_dim)
  std::vector<int64_t> key_begin, key_end;  // (B) slots read at all: the tightest range that holds every visible key
  int64_t key_block = 0;     // softmax summed over blocks of so many keys, the last block first; 0: over all at once
};

struct StepPlan {
  bool cached = false;
  int64_t batch = 0, length = 0;  // B, T
  std::vector<RowPlan> rows;      // (B)
  std::vector<LayerPlan> layers;  // (L)
  std::vector<int64_t> kv_head;   // (H) the kv head that each query head reads

  /// Whether all rows share position, length and slots, so that one mask and one range serve the batch.
  bool uniform() const;
};

/// Plans an uncached forward over whole sequences (positions from 0) into `plan`, whose memory is used again.
/// throws ArgumentError, CapacityError (rotary tables)
void plan_uncached(const GptConfig& config, const TokenBatch& tokens, StepPlan& plan);

/// Plans a forward that appends to a cache, into `plan`, likewise: row b continues cache row b. Where the last plan was of as
/// many rows, nothing is allocated.
/// throws ArgumentError (empty or ragged input, ids outside the vocabulary, batch != cache rows),
///        CapacityError (cache or rotary tables too short: how many, how many there are); the cache is unchanged
void plan_cached(const GptConfig& config, const TokenBatch& tokens, const KVCache& cache, StepPlan& plan);

}  // namespace kvproof
