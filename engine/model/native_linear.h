// Linear layers of the native model: few rows by our own kernel, many by LibTorch's matrix product.
#pragma once

#include <cstdint>

#include "engine/kernels/matmul.h"

namespace kvproof::native {

/// Up to so many rows a step is bound by reading weights, which kernels::matmul does best.
inline constexpr int64_t kFewRows = 16;

/// (n, width) activations, and the same in the weights' type: what products of more than kFewRows rows take. Both are one
/// where the types are; otherwise whoever writes x writes `narrowed` too, for that many rows.
template <typename W, typename X>
struct Activations {
  X* x;
  W* narrowed;
  int64_t width;
};

/// y[:, columns] = x wᵀ for n rows: w (N, K = x.width) dense, y (n, ·) of row stride y_stride. One member's part of a
/// product: calls for other columns may run at the same time, on threads whose LibTorch has one thread (threads.h).
/// rounds  more than kFewRows rows of bfloat16: the sums to bfloat16
template <typename W, typename X>
void linear(const Activations<W, X>& x, const W* w, X* y, int64_t y_stride, int64_t n, kernels::Range columns);

}  // namespace kvproof::native
