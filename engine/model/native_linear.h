// Linear layers of the native model: few rows by our own kernel, many by LibTorch's matrix product.
#pragma once

#include <cstdint>

#include "engine/kernels/matmul.h"

namespace kvproof::native {

/// Up to so many rows kernels::matmul, which reads each weight once, is faster than LibTorch: 8 rows of a d12 take 34 ms for 80
/// in float32, 23 for 29 in bfloat16; 16 rows 43 for 66, and 32 for 27.
inline constexpr int64_t kFewRows = 16;

/// (n, width) activations as linear layers take and make them: few rows stand in x; many in w, in the weights' type, which
/// is what LibTorch multiplies. Where W and X are one type, x and w are one address.
template <typename W, typename X>
struct Activations {
  X* x;
  W* w;
  int64_t width;
};

/// y[:, columns] = x wᵀ for n rows: w (rows of `y.width` or fewer, K = x.width) dense. One member's part of a product: calls
/// for other columns may run at the same time, on threads whose LibTorch has one thread (threads.h).
template <typename W, typename X>
void linear(const Activations<W, X>& x, const W* w, const Activations<W, X>& y, int64_t n, kernels::Range columns);

}  // namespace kvproof::native
