// One forward of the native model: what all of its threads do together, from token ids to logits.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <functional>
#include <type_traits>

#include "engine/kernels/attention.h"
#include "engine/kernels/thread_team.h"
#include "engine/model/kv_cache.h"
#include "engine/model/native_linear.h"
#include "engine/model/native_weights.h"
#include "engine/model/native_workspace.h"
#include "engine/model/stage.h"
#include "engine/model/step_plan.h"

namespace kvproof::native {

/// What a forward reads and writes. n = B·T rows, row r = b·T + t.
template <typename W, typename X>
struct Forward {
  const GptConfig& config;
  const Weights<W, X>& weights;
  const StepPlan& plan;
  const TokenBatch& tokens;
  KVCache::Storage kv;  // of W, what the plan's slots are counted in
  int64_t slots;        // that a row of it has
  LogitsAt at;
  X* logits;  // (B, V) or (n, V)
  Workspace<W, X>& work;
  int members;
  const std::function<void(Stage, int64_t, const at::Tensor&)>* tap;  // null: nobody looks
};

/// The layers, walked by every member of a team in step. Between the matrices work is split by columns, heads or rows.
///
/// Few rows: each member keeps the whole residual stream for itself, so that norms and residuals need no barrier. Many: each
/// keeps its share of the rows.
template <typename W, typename X>
class Walk {
 public:
  /// Makes room in forward.work. All of this thread.
  explicit Walk(const Forward<W, X>& forward);

  /// To be called by all members of one team of forward.members.
  void operator()(kernels::Member& member) const;

 private:
  static constexpr int64_t kQueries = 64;  // that our own attention takes at once
  static constexpr int64_t kTile = 128;    // that LibTorch's does
  static constexpr int64_t kChunk = 256;   // of keys that members share out

  // A member's place in the residual stream: arrays of (n, C), of which it keeps `rows`.
  struct Lane {
    X *x, *x0, *middle;
    Activations<W, X> h;  // x, normed
    kernels::Range rows;
    X* scratch;  // scratch_size()
  };
  // An embedding; or, of attention over blocks, one block's sums and two rows of their weights.
  int64_t scratch_size() const { return std::max(C_, kQueries * (D_ + 2)); }

  Lane lane_of(const kernels::Member& member) const;
  void publish(kernels::Member& member) const;
  void show(kernels::Member& member, Stage stage, int64_t layer, X* values, at::IntArrayRef sizes,
            at::IntArrayRef strides) const;

  void embed(kernels::Member& member, const Lane& lane) const;
  void mix_with_start(const Lane& lane, const Layer<W, X>& layer) const;
  void copy(const Lane& lane, const X* from, X* to) const;
  void norm(const Lane& lane) const;
  void project(kernels::Member& member, const Lane& lane, int64_t layer) const;
  void finish_heads(const Lane& lane, int64_t layer, kernels::Range heads) const;
  void add_value_embedding(const Lane& lane, int64_t layer, int64_t row, int64_t kv_head, X* value) const;
  void attend(kernels::Member& member, const Lane& lane, int64_t layer) const;
  kernels::Range seen_by(const LayerPlan& plan, int64_t b, int64_t t) const;
  kernels::Attention<W, X> attention_of(const LayerPlan& plan, int64_t layer, int64_t b, const HeadRun& run,
                                        int64_t first, int64_t count, const kernels::Range* seen) const;
  void attend_in_chunks(kernels::Member& member, int64_t layer) const;
  void attend_few(const Lane& lane, int64_t layer, int64_t b, const HeadRun& run, int64_t first, int64_t count) const;
  void attend_many(int64_t layer, int64_t b, kernels::Range heads, int64_t first, int64_t count) const;
  void attend_by_blocks(kernels::Attention<W, X> a, int64_t block, X* scratch) const;
  void update(kernels::Member& member, const Lane& lane, const Activations<W, X>& a, const W* w) const;
  void expand(kernels::Member& member, const Lane& lane, const Layer<W, X>& layer) const;
  void head(kernels::Member& member, const Lane& lane) const;

  X gate(const W* w, const X* x, int64_t channels, X scale) const;
  void narrow(const Activations<W, X>& a, int64_t row, int64_t begin, int64_t count) const;
  void widen(const Activations<W, X>& a, int64_t row, int64_t begin, int64_t count) const;
  Activations<W, X> activations(X* x, const Buffer<W>& narrow, int64_t width) const {
    if constexpr (std::is_same_v<W, X>)
      return {x, x, width};
    else
      return {x, narrow.data(), width};
  }
  int64_t chunks() const { return (f_.slots + kChunk - 1) / kChunk; }
  Activations<W, X> projected() const { return activations(f_.work.qkv.data(), f_.work.qkv_narrow, qkv_width_); }
  Activations<W, X> attended() const { return activations(f_.work.y.data(), f_.work.y_narrow, H_ * D_); }
  Activations<W, X> hidden() const { return activations(f_.work.hidden.data(), f_.work.hidden_narrow, I_); }
  W* slot(void* base, int64_t layer, int64_t cache_row, int64_t kv_head, int64_t slot) const {
    return static_cast<W*>(base) + layer * f_.kv.layer + cache_row * f_.kv.row + kv_head * f_.kv.head +
           slot * f_.kv.slot;
  }

  Forward<W, X> f_;
  int64_t B_, T_, n_, C_, H_, G_, D_, I_, V_;
  int64_t qkv_width_;  // (H + 2G)·D
  bool few_;
  X eps_;
};

}  // namespace kvproof::native
