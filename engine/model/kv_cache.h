// Keys, values and tokens of all positions so far: one type, one layout, for every backend.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/model/gpt_config.h"
#include "engine/model/step_plan.h"

namespace kvproof {

class KVCache;

/// An operation that has just been done to a cache.
struct CacheOperation {
  enum class Kind { append, reserve, reset, truncate, clone, retain };
  Kind kind;
  std::span<const int64_t> rows;     // truncate: the row; clone: the source rows; retain: the rows kept
  std::span<const int64_t> lengths;  // append, reset, truncate: each row's length before
  const KVCache* source = nullptr;   // clone: what was copied from
};
/// A seam for verification: sees every operation of a cache, and may spoil its outcome through KVCache::raw().
using CacheHook = std::function<void(KVCache& cache, const CacheOperation& operation)>;

/// (L, B, G, capacity, D) for keys (after RoPE, norm and scale) and the same for values (with their value embedding), plus
/// each row's token ids. The ids are all the side state there is: smear needs the previous position's embedding, and
/// that is looked up again, so truncating or cloning a cache cannot leave it stale.
/// differs from nanochat: its cache holds the previous embedding itself, and loses it at every chunk of more than one token.
///
/// Move-only: a copied tensor would share its storage.
class KVCache {
 public:
  /// Uninitialised storage for batch rows of `capacity` positions, all empty. throws ArgumentError: batch or capacity < 1;
  /// CapacityError: more than can be allocated
  KVCache(const GptConfig& config, int64_t batch, int64_t capacity, at::ScalarType dtype, at::Device device);
  KVCache(KVCache&&) noexcept = default;
  KVCache& operator=(KVCache&&) noexcept = default;

  int64_t batch() const { return static_cast<int64_t>(tokens_.size()); }
  int64_t capacity() const { return capacity_; }
  /// Positions held by a row; the next token's absolute position.
  int64_t length(int64_t row) const { return static_cast<int64_t>(tokens_[row].size()); }
  /// The ids at positions 0 … length - 1.
  const std::vector<int32_t>& tokens(int64_t row) const { return tokens_[row]; }
  /// Bytes of keys and values allocated.
  int64_t bytes() const;
  at::ScalarType dtype() const { return keys_.scalar_type(); }
  at::Device device() const { return keys_.device(); }

  /// (B, G, capacity, D) views into the storage; slots at and past length() hold garbage.
  at::Tensor keys(int64_t layer) const;
  at::Tensor values(int64_t layer) const;

  /// Writes one layer's new keys and values, (B, G, T, D), at the plan's rows and slots. Lengths do not move.
  /// throws CapacityError before anything is written if a slot lies outside the storage
  void write(int64_t layer, const at::Tensor& keys, const at::Tensor& values, const StepPlan& plan);
  /// throws CapacityError if a slot that the plan writes lies outside the storage
  void check_slots(const StepPlan& plan) const;
  /// Moves the rows' lengths by the plan's `advance`, and remembers the tokens.
  void advance(const StepPlan& plan, const TokenBatch& tokens);

  /// Makes room for `capacity` positions, keeping what is there; never shrinks. Cost: a copy of the whole cache.
  void reserve(int64_t capacity);
  /// Empties all rows; keeps the storage.
  void reset();
  /// Forgets everything past `length` in one row. throws ArgumentError: length > length(row) or < 0
  void truncate(int64_t row, int64_t length);
  /// A new cache whose row i is a copy of source_rows[i]; no storage is shared. Only held positions are copied.
  KVCache clone_rows(std::span<const int64_t> source_rows, int64_t capacity) const;
  /// Keeps only these rows (ascending, distinct), in place: the others cost nothing from then on.
  void retain_rows(std::span<const int64_t> rows);

  /// The storage for code that reads and writes elements itself: layer l, row b, kv head g, slot s start at
  /// l * layer + b * row + g * head + s * slot elements; D elements follow. Valid until the storage is replaced (reserve,
  /// retain_rows, a move). No dispatcher call.
  struct Storage {
    void *keys, *values;
    int64_t layer, row, head, slot;
  };
  Storage storage();

  /// Has every later operation of this cache and of its clones shown to a hook; null: to nobody.
  void set_hook(std::shared_ptr<const CacheHook> hook) { hook_ = std::move(hook); }
  /// Everything a cache is, for a hook to change.
  struct Raw {
    at::Tensor &keys, &values;                  // (L, B, G, capacity, D)
    std::vector<std::vector<int32_t>>& tokens;  // (B)
  };
  Raw raw() { return {keys_, values_, tokens_}; }

 private:
  KVCache() = default;  // for clone_rows
  std::vector<int64_t> lengths_if_hooked() const;
  void done(const CacheOperation& operation) {
    if (hook_) (*hook_)(*this, operation);
  }

  int64_t capacity_ = 0;
  at::Tensor keys_, values_;                  // (L, B, G, capacity, D)
  std::vector<std::vector<int32_t>> tokens_;  // (B) of length(row)
  std::shared_ptr<const CacheHook> hook_;
};

}  // namespace kvproof
