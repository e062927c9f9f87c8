#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/attention.cc"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "engine/kernels/attention.h"
#include "engine/kernels/dot-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kvproof::kernels::HWY_NAMESPACE {

constexpr int64_t kBlock = 64;  // slots; a block's keys or values of 128 floats fill a first-level cache of 32 KiB
constexpr int kQueries = 4;     // computed together
constexpr int64_t kPass = 64;   // queries whose state fits on the stack

// Softmax so far of one query: weights are relative to `highest`, `sum` is theirs.
template <typename X>
struct Running {
  X highest = -std::numeric_limits<X>::infinity();
  X sum = 0;
};

// Lanes(d) values in their order, widened.
template <class D>
HWY_INLINE hn::Vec<D> load_values(D d, const hn::TFromD<D>* p) {
  return hn::LoadU(d, p);
}
template <class D>
HWY_INLINE hn::Vec<D> load_values(D d, const Bfloat16* p) {
  const hn::Rebind<uint16_t, D> d16;
  const hn::RebindToUnsigned<D> d32;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, hn::LoadU(d16, &p->bits))));
}

// scores[m][j] = q[m] · k[j] * scale for `count` keys from k on; the rest of the block becomes -inf.
//
// Memory is read row by row, but in pieces too short for the hardware to foresee: the keys of the next tile are prefetched.
template <int M, typename KV, typename X>
HWY_INLINE void score(const Attention<KV, X>& a, int64_t query, const KV* k, int64_t count, X (&scores)[M][kBlock]) {
  const hn::ScalableTag<X> d;
  constexpr int kKeys = M == 1 ? 8 : 4;
  const X* q = a.q + query * a.q_stride;
  int64_t j = 0;
  const auto tile = [&](auto keys) HWY_ATTR {
    constexpr int R = decltype(keys)::value;
    X sums[M][R];
    const int64_t ahead = HWY_MIN(int64_t{R}, count - j - R);
    dot_tile<R, M>(d, k + j * a.k_stride, a.k_stride, q, a.q_stride, a.dim, k + (j + R) * a.k_stride,
                   static_cast<int>(HWY_MAX(ahead, 0)), sums);
    for (int m = 0; m < M; ++m)
      for (int r = 0; r < R; ++r) scores[m][j + r] = sums[m][r] * a.scale;
  };
  for (; j + kKeys <= count; j += kKeys) tile(std::integral_constant<int, kKeys>());
  for (; j < count; ++j) tile(std::integral_constant<int, 1>());
  for (; j < kBlock; ++j)
    for (int m = 0; m < M; ++m) scores[m][j] = -std::numeric_limits<X>::infinity();
}

// Turns one query's scores into weights, and returns the factor by which what was summed before fades.
template <typename X>
HWY_INLINE X soften(X (&scores)[kBlock], Running<X>& running) {
  const hn::ScalableTag<X> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = hn::Lanes(d);
  V highest = hn::Set(d, running.highest);
  for (int64_t j = 0; j < kBlock; j += lanes) highest = hn::Max(highest, hn::LoadU(d, scores + j));
  const V top = hn::MaxOfLanes(d, highest);
  V sum = hn::Zero(d);
  for (int64_t j = 0; j < kBlock; j += lanes) {
    const V below = hn::Sub(hn::LoadU(d, scores + j), top);
    const V weight = hn::IfThenElse(hn::IsNaN(below), below, hn::Exp(d, below));  // Exp(NaN) would be 0
    hn::StoreU(weight, d, scores + j);
    sum = hn::Add(sum, weight);
  }
  const X highest_now = hn::GetLane(top);
  const X fade = running.sum == 0 ? 0 : std::exp(running.highest - highest_now);  // 0: the first block
  running.highest = highest_now;
  running.sum = running.sum * fade + hn::GetLane(hn::SumOfLanes(d, sum));
  return fade;
}

// out[m] = out[m] * fade[m] + sum over j < count of weights[m][j] * v[j], elements [at, at + C * Lanes(d)) of each row.
template <int M, int C, class D, typename KV, typename X>
HWY_INLINE void add_values(D d, const Attention<KV, X>& a, int64_t query, const KV* v, int64_t count,
                           const X (&weights)[M][kBlock], const X (&fade)[M], int64_t at) {
  using V = hn::Vec<D>;
  const int64_t lanes = hn::Lanes(d);
  V acc[M][C];
  for (int m = 0; m < M; ++m)
    for (int c = 0; c < C; ++c) acc[m][c] = hn::Zero(d);
  constexpr int64_t kAhead = 8;  // rows of values; the first pass over them fetches the rows whole
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(KV));
  for (int64_t j = 0; j < count; ++j) {
    if (at == 0 && j + kAhead < count)
      for (int64_t c = 0; c < a.dim; c += kLine) hwy::Prefetch(v + (j + kAhead) * a.v_stride + c);
    V values[C];
    for (int c = 0; c < C; ++c) values[c] = load_values(d, v + j * a.v_stride + at + c * lanes);
    for (int m = 0; m < M; ++m) {
      const V weight = hn::Set(d, weights[m][j]);
      for (int c = 0; c < C; ++c) acc[m][c] = hn::MulAdd(weight, values[c], acc[m][c]);
    }
  }
  for (int m = 0; m < M; ++m) {
    X* out = a.out + (query + m) * a.out_stride + at;
    for (int c = 0; c < C; ++c, out += lanes) {
      hn::StoreU(hn::MulAdd(hn::Set(d, fade[m]), hn::LoadU(d, out), acc[m][c]), d, out);
    }
  }
}

// One block of `count` slots from `slot` on, for M queries that see all of them.
template <int M, typename KV, typename X>
HWY_INLINE void block(const Attention<KV, X>& a, int64_t query, int64_t slot, int64_t count, Running<X>* running) {
  HWY_ALIGN X scores[M][kBlock];
  X fade[M];
  const KV* v = a.v + slot * a.v_stride;
  score<M>(a, query, a.k + slot * a.k_stride, count, scores);
  for (int m = 0; m < M; ++m) fade[m] = soften(scores[m], running[m]);
  const hn::ScalableTag<X> d;
  const int64_t lanes = hn::Lanes(d);
  int64_t at = 0;
  for (; at + 4 * lanes <= a.dim; at += 4 * lanes) add_values<M, 4>(d, a, query, v, count, scores, fade, at);
  for (; at + lanes <= a.dim; at += lanes) add_values<M, 1>(d, a, query, v, count, scores, fade, at);
  const hn::CappedTag<X, 16 / sizeof(X)> small;
  const int64_t small_lanes = hn::Lanes(small);
  for (; at + small_lanes <= a.dim; at += small_lanes) add_values<M, 1>(small, a, query, v, count, scores, fade, at);
  for (; at < a.dim; ++at) add_values<M, 1>(hn::CappedTag<X, 1>(), a, query, v, count, scores, fade, at);
}

// The part of a range that lies in the block of slots from `begin` on.
HWY_INLINE Range within(Range range, int64_t begin) {
  const int64_t first = HWY_MAX(range.begin, begin), last = HWY_MIN(range.end, begin + kBlock);
  return first < last ? Range{first, last} : Range{begin, begin};
}

template <typename KV, typename X>
HWY_INLINE void pass(const Attention<KV, X>& a) {
  Running<X> running[kPass];
  for (int64_t i = 0; i < a.n; ++i) std::fill_n(a.out + i * a.out_stride, a.dim, X{0});
  Range all = a.ranges[0];
  for (int64_t i = 1; i < a.n; ++i) all = {HWY_MIN(all.begin, a.ranges[i].begin), HWY_MAX(all.end, a.ranges[i].end)};
  for (int64_t begin = all.begin / kBlock * kBlock; begin < all.end; begin += kBlock) {
    for (int64_t i = 0; i < a.n;) {
      const Range seen = within(a.ranges[i], begin);
      int64_t together = 1;
      while (together < kQueries && i + together < a.n) {
        const Range other = within(a.ranges[i + together], begin);
        if (other.begin != seen.begin || other.end != seen.end) break;
        ++together;
      }
      if (seen.size() > 0) {
        switch (together) {
          case 1:
            block<1>(a, i, seen.begin, seen.size(), running + i);
            break;
          case 2:
            block<2>(a, i, seen.begin, seen.size(), running + i);
            break;
          case 3:
            block<3>(a, i, seen.begin, seen.size(), running + i);
            break;
          default:
            block<kQueries>(a, i, seen.begin, seen.size(), running + i);
        }
      }
      i += together;
    }
  }
  for (int64_t i = 0; i < a.n; ++i) {
    if (a.ranges[i].end <= a.ranges[i].begin) continue;
    for (int64_t c = 0; c < a.dim; ++c) a.out[i * a.out_stride + c] /= running[i].sum;
  }
  if (a.lse == nullptr) return;
  for (int64_t i = 0; i < a.n; ++i) a.lse[i] = running[i].highest + std::log(running[i].sum);
}

template <typename KV, typename X>
void attend_all(Attention<KV, X> a) {
  const int64_t n = a.n;
  for (int64_t i = 0; i < n; i += kPass) {
    a.n = HWY_MIN(kPass, n - i);
    pass(a);
    a.q += a.n * a.q_stride;
    a.out += a.n * a.out_stride;
    a.ranges += a.n;
    if (a.lse != nullptr) a.lse += a.n;
  }
}

void attend_float(const Attention<float, float>& a) { attend_all(a); }
void attend_bfloat16(const Attention<Bfloat16, float>& a) { attend_all(a); }
void attend_double(const Attention<double, double>& a) { attend_all(a); }

}  // namespace kvproof::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kvproof::kernels {

HWY_EXPORT(attend_float);
HWY_EXPORT(attend_bfloat16);
HWY_EXPORT(attend_double);

void attend(const Attention<float, float>& a) { HWY_DYNAMIC_DISPATCH(attend_float)(a); }
void attend(const Attention<Bfloat16, float>& a) { HWY_DYNAMIC_DISPATCH(attend_bfloat16)(a); }
void attend(const Attention<double, double>& a) { HWY_DYNAMIC_DISPATCH(attend_double)(a); }

}  // namespace kvproof::kernels
#endif
