#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/matmul.cc"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "engine/kernels/dot-inl.h"
#include "engine/kernels/matmul.h"

HWY_BEFORE_NAMESPACE();
namespace kvproof::kernels::HWY_NAMESPACE {

// 32 vector registers hold four sums for each of four rows of x; 16 hold half of that.
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_SSSE3
constexpr int kWeightRows = 2;
#else
constexpr int kWeightRows = 4;
#endif
constexpr int kInputRows = 4;

// The weights to prefetch while one strip of R rows is used: those of the next strip, a part by each of its tiles, so
// that memory never waits for the arithmetic of many rows.
template <typename W>
struct Ahead {
  const W* w;
  int rows;
};

// Columns [j, j + R) of rows [i, i + M).
template <int R, int M, typename W, typename X>
HWY_INLINE void tile(const Matmul<W, X>& t, int64_t i, int64_t j, Ahead<W> ahead) {
  const hn::ScalableTag<X> d;
  X sums[M][R];
  dot_tile<R, M>(d, t.w + j * t.w_stride, t.w_stride, t.x + i * t.x_stride, t.x_stride, t.k, ahead.w, ahead.rows, sums);
  for (int m = 0; m < M; ++m) {
    X* y = t.y + (i + m) * t.y_stride + j;
    for (int r = 0; r < R; ++r) y[r] = sums[m][r];
  }
}

// Columns [j, j + R) of all rows.
template <int R, typename W, typename X>
HWY_INLINE void strip(const Matmul<W, X>& t, int64_t j, int64_t end) {
  const int64_t tiles = (t.n + kInputRows - 1) / kInputRows;
  const int64_t next = j + R, stop = HWY_MIN(next + R, end);
  const int64_t share = (R + tiles - 1) / tiles;
  for (int64_t i = 0, at = next; i < t.n; i += kInputRows, at += share) {
    const int64_t rows = HWY_MAX(HWY_MIN(share, stop - at), 0);
    const Ahead<W> ahead{t.w + (rows > 0 ? at : j) * t.w_stride, static_cast<int>(rows)};
    switch (t.n - i) {
      case 1:
        tile<R, 1>(t, i, j, ahead);
        break;
      case 2:
        tile<R, 2>(t, i, j, ahead);
        break;
      case 3:
        tile<R, 3>(t, i, j, ahead);
        break;
      default:
        tile<R, kInputRows>(t, i, j, ahead);
    }
  }
}

template <typename W, typename X>
void columns_of(const Matmul<W, X>& t, Range columns) {
  int64_t j = columns.begin;
  if (t.n == 1)  // four rows: fewer, and each addition waits for the one before; more, and the streams are too many
    for (; j + 4 <= columns.end; j += 4) strip<4>(t, j, columns.end);
  for (; j + kWeightRows <= columns.end; j += kWeightRows) strip<kWeightRows>(t, j, columns.end);
  for (; j < columns.end; ++j) strip<1>(t, j, columns.end);
}

void matmul_float(const Matmul<float, float>& t, Range columns) { columns_of(t, columns); }
void matmul_bfloat16(const Matmul<Bfloat16, float>& t, Range columns) { columns_of(t, columns); }
void matmul_double(const Matmul<double, double>& t, Range columns) { columns_of(t, columns); }

}  // namespace kvproof::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kvproof::kernels {

HWY_EXPORT(matmul_float);
HWY_EXPORT(matmul_bfloat16);
HWY_EXPORT(matmul_double);

void matmul(const Matmul<float, float>& m, Range columns) {
  HWY_DYNAMIC_DISPATCH(matmul_float)(m, columns);
}
void matmul(const Matmul<Bfloat16, float>& m, Range columns) {
  HWY_DYNAMIC_DISPATCH(matmul_bfloat16)(m, columns);
}
void matmul(const Matmul<double, double>& m, Range columns) {
  HWY_DYNAMIC_DISPATCH(matmul_double)(m, columns);
}

}  // namespace kvproof::kernels
#endif
