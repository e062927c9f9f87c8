// Dot products of a few rows with a few rows: the inner loop of matmul and of attention's scores. Compiled once per
// Highway target; included after <hwy/highway.h> by files that foreach_target.h includes again and again.
//
// Vectors are kept in arrays, which the scalable types of SVE and RISC-V do not allow: on ARM this is for NEON.
#if defined(KVPROOF_ENGINE_KERNELS_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KVPROOF_ENGINE_KERNELS_DOT_INL_H_
#undef KVPROOF_ENGINE_KERNELS_DOT_INL_H_
#else
#define KVPROOF_ENGINE_KERNELS_DOT_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

#include "engine/kernels/bfloat16.h"

HWY_BEFORE_NAMESPACE();
namespace kvproof::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// How many vectors of float one load of weights becomes.
template <typename W>
inline constexpr int kParts = 1;
template <>
inline constexpr int kParts<Bfloat16> = 2;

// kParts<W> * Lanes(d) weights, widened. A bfloat16 is the upper half of a float: the odd elements of a vector stand
// there already, the even ones are a shift away, so the parts are the even elements and the odd ones.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void load_weights(D d, const hn::TFromD<D>* HWY_RESTRICT p, V (&part)[1]) {
  part[0] = hn::LoadU(d, p);
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE void load_weights(D d, const Bfloat16* HWY_RESTRICT p, V (&part)[2]) {
#if HWY_TARGET == HWY_SCALAR
  part[0] = hn::Set(d, to_float(p[0]));
  part[1] = hn::Set(d, to_float(p[1]));
#else
  const hn::Repartition<uint16_t, D> d16;
  const hn::RebindToUnsigned<D> d32;
  const auto pairs = hn::BitCast(d32, hn::LoadU(d16, &p->bits));
  part[0] = hn::BitCast(d, hn::ShiftLeft<16>(pairs));
  part[1] = hn::BitCast(d, hn::And(pairs, hn::Set(d32, 0xffff0000u)));
#endif
}

// As many inputs, in the same parts.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void load_inputs(D d, const hn::TFromD<D>* HWY_RESTRICT p, V (&part)[1]) {
  part[0] = hn::LoadU(d, p);
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE void load_inputs(D d, const hn::TFromD<D>* HWY_RESTRICT p, V (&part)[2]) {
  const V low = hn::LoadU(d, p), high = hn::LoadU(d, p + hn::Lanes(d));
#if HWY_TARGET == HWY_SCALAR
  part[0] = low;
  part[1] = high;
#else
  part[0] = hn::ConcatEven(d, high, low);
  part[1] = hn::ConcatOdd(d, high, low);
#endif
}

#if HWY_TARGET != HWY_SCALAR
// The sum of a vector's 128-bit blocks.
template <class D, class V>
HWY_INLINE auto sum_blocks(D d, V v) {
  if constexpr (hn::MaxLanes(D()) * sizeof(hn::TFromD<D>) <= 16) {
    return v;
  } else {
    const hn::Half<D> half;
    return sum_blocks(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}
#endif

// out[r] = the sum of v[r]'s lanes, always added in the same order. Four at once (two of double) cost little more than
// one: the vectors are interleaved as they are folded.
template <int R, class D, class V = hn::Vec<D>, typename X = hn::TFromD<D>>
HWY_INLINE void sum_lanes([[maybe_unused]] D d, const V (&v)[R], X* HWY_RESTRICT out) {
#if HWY_TARGET == HWY_SCALAR
  for (int r = 0; r < R; ++r) out[r] = hn::GetLane(v[r]);
#else
  constexpr int kBlock = 16 / sizeof(X);
  const auto pair = [&](int r, int s) HWY_ATTR {  // lanes of v[r] and v[s] in turns, half as many of each
    const V& a = v[HWY_MIN(r, R - 1)];
    const V& b = v[HWY_MIN(s, R - 1)];
    return hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b));
  };
  const hn::FixedTag<X, kBlock> block;
  for (int r = 0; r < R; r += kBlock) {
    V sums = pair(r, r + 1);
    if constexpr (kBlock == 4) {
      const hn::Repartition<double, D> wide;  // pairs of lanes
      const auto first = hn::BitCast(wide, sums), second = hn::BitCast(wide, pair(r + 2, r + 3));
      sums = hn::Add(hn::BitCast(d, hn::InterleaveLower(wide, first, second)),
                     hn::BitCast(d, hn::InterleaveUpper(wide, first, second)));
    }
    const auto total = sum_blocks(d, sums);
    if constexpr (R % kBlock == 0) {
      hn::StoreU(total, block, out + r);
    } else {
      X some[kBlock];
      hn::StoreU(total, block, some);
      for (int i = 0; i < kBlock && r + i < R; ++i) out[r + i] = some[i];
    }
  }
#endif
}

// sums[m][r] = sum over k < K of w[r * w_stride + k] * x[m * x_stride + k], for R weight rows and M input rows. Each
// weight is loaded once. Nothing at or past K is read. Each sum is added in an order that depends on K and D alone, not
// on R, M or the place in the tile. Where `ahead` is not 0, the weights that many elements on are prefetched.
template <int R, int M, class D, typename W, typename X = hn::TFromD<D>>
HWY_INLINE void dot_tile(D d, const W* HWY_RESTRICT w, int64_t w_stride, const X* HWY_RESTRICT x, int64_t x_stride,
                         int64_t K, const W* ahead, int ahead_rows, X (&sums)[M][R]) {
  using V = hn::Vec<D>;
  constexpr int P = kParts<W>;
  constexpr int64_t kStep = P * static_cast<int64_t>(hn::MaxLanes(D()));
  V acc[M][R];
  for (int m = 0; m < M; ++m)
    for (int r = 0; r < R; ++r) acc[m][r] = hn::Zero(d);

  const auto accumulate = [&](const W* HWY_RESTRICT w_at, int64_t w_step, const X* HWY_RESTRICT x_at, int64_t x_step)
                              HWY_ATTR {
                                V in[M][P];
                                for (int m = 0; m < M; ++m) load_inputs(d, x_at + m * x_step, in[m]);
                                for (int r = 0; r < R; ++r) {
                                  V weights[P];
                                  load_weights(d, w_at + r * w_step, weights);
                                  for (int m = 0; m < M; ++m)
                                    for (int p = 0; p < P; ++p) acc[m][r] = hn::MulAdd(weights[p], in[m][p], acc[m][r]);
                                }
                              };
  int64_t k = 0;
  if (ahead_rows > 0) {
    for (; k + kStep <= K; k += kStep) {
      for (int r = 0; r < ahead_rows; ++r) hwy::Prefetch(ahead + r * w_stride + k);
      accumulate(w + k, w_stride, x + k, x_stride);
    }
  } else {
    for (; k + kStep <= K; k += kStep) accumulate(w + k, w_stride, x + k, x_stride);
  }
  if (k < K) {  // what is left of the rows, with zeros behind
    W w_end[R][kStep] = {};
    X x_end[M][kStep] = {};
    const auto left = static_cast<std::size_t>(K - k);
    for (int r = 0; r < R; ++r) std::memcpy(w_end[r], w + r * w_stride + k, left * sizeof(W));
    for (int m = 0; m < M; ++m) std::memcpy(x_end[m], x + m * x_stride + k, left * sizeof(X));
    accumulate(w_end[0], kStep, x_end[0], kStep);
  }
  for (int m = 0; m < M; ++m) sum_lanes<R>(d, acc[m], sums[m]);
}

}  // namespace kvproof::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
