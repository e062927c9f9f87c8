// Attention of a few queries over the cached keys and values of one kv head.
#pragma once

#include <cstdint>

#include "engine/kernels/bfloat16.h"
#include "engine/kernels/thread_team.h"

namespace kvproof::kernels {

/// For each query i: out[i] = sum over slots j in ranges[i] of softmax_j(q[i] · k[j] * scale) * v[j].
///
/// Queries that stand side by side and see the same slots are computed together, so each key and value is read once for
/// them: the query heads that share the kv head, or a chunk's tokens (with all heads of a token in succession).
/// Strides count elements from row to row, >= D. No alignment is asked for. Slots outside a query's range are not read
/// for it; past D no row is read. out overlaps nothing else.
template <typename KV, typename X>
struct Attention {
  const X* q;  // (n, D)
  int64_t q_stride;
  const KV* k;  // (slots, D), from slot 0 on
  int64_t k_stride;
  const KV* v;  // (slots, D)
  int64_t v_stride;
  X* out;  // (n, D)
  int64_t out_stride;
  const Range* ranges;  // (n), begin >= 0; an empty one (end <= begin) gives zeros
  int64_t n;            // queries, >= 1
  int64_t dim;          // D >= 1; best a multiple of 16
  X scale;
  X* lse = nullptr;  // (n), log of the sum of a query's exp(scores): what results over parts of the slots are weighed by; null: not wanted
};

/// Computes all of `a`. Calls with different `out` may run at the same time.
///
/// accumulates in float for float and bfloat16 keys and values (widened exactly; neither queries nor weights are
///             rounded), in double for double. Softmax is summed online over blocks of 64 slots, the first block first. A
///             query's result depends on its own range and the CPU's vectors, not on the other queries
/// NaN         in a visible key or value reaches the result
/// cost        2 * n * slots * D multiply-adds, no allocation
void attend(const Attention<float, float>& a);
void attend(const Attention<Bfloat16, float>& a);
void attend(const Attention<double, double>& a);

}  // namespace kvproof::kernels
