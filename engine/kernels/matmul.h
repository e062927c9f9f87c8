// Linear layers for few rows: a decode step's, where reading the weights is what takes the time.
#pragma once

#include <cstdint>

#include "engine/kernels/bfloat16.h"
#include "engine/kernels/thread_team.h"

namespace kvproof::kernels {

/// y = x Wᵀ: x (n, K), W (N, K), y (n, N), all row-major; strides count elements from row to row (>= K, K, N).
/// No alignment is asked for. Nothing past K of a row is read. y overlaps neither x nor W.
template <typename W, typename X>
struct Matmul {
  const W* w;
  int64_t w_stride;
  const X* x;
  int64_t x_stride;
  X* y;
  int64_t y_stride;
  int64_t n;  // rows of x, >= 1; made for 1 … 16
  int64_t k;  // K >= 1
};

/// Computes the columns [columns.begin, columns.end) of y, of the rows of W by the same numbers: what one member of a
/// team does. Calls that share no column may run at the same time.
///
/// Each weight comes from memory once, whatever n is: a few rows of W at a time pass by all rows of x and stay in cache
/// meanwhile. Up to four rows of x cost little more than one; from eight on the arithmetic shows.
/// accumulates in float for float and bfloat16 weights, which are widened exactly (x is not rounded:
///             Highway 1.0.3's ReorderWidenMulAccumulate on a rounded x takes as long); in double for double. The
///             order of summation depends on K and the CPU's vectors: a sum's bits are the same for any range of columns and
///             whatever rows stand beside it
/// cost        n * K * columns multiply-adds, no allocation
void matmul(const Matmul<float, float>& m, Range columns);
void matmul(const Matmul<Bfloat16, float>& m, Range columns);
void matmul(const Matmul<double, double>& m, Range columns);

}  // namespace kvproof::kernels
