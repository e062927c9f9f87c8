#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/vector_ops.cc"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

#include <algorithm>
#include <cmath>

#include "engine/kernels/vector_ops.h"

HWY_BEFORE_NAMESPACE();
namespace kvproof::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <typename X>
using Tag = hn::ScalableTag<X>;
template <typename X>
using Vec = hn::Vec<Tag<X>>;

// y[i] = f(x[i]) for i < n; f takes and gives a vector. The end of a row passes through a vector on the stack.
template <typename X, class F>
HWY_INLINE void map(const X* x, X* y, int64_t n, F f) {
  const Tag<X> d;
  const int64_t lanes = hn::Lanes(d);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f(hn::LoadU(d, x + i)), d, y + i);
  if (i == n) return;
  HWY_ALIGN X end[hn::MaxLanes(Tag<X>())] = {};
  std::copy(x + i, x + n, end);
  hn::Store(f(hn::Load(d, end)), d, end);
  std::copy_n(end, n - i, y + i);
}

// The same of two rows.
template <typename X, class F>
HWY_INLINE void map(const X* x, const X* y, X* z, int64_t n, F f) {
  const Tag<X> d;
  const int64_t lanes = hn::Lanes(d);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f(hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, z + i);
  if (i == n) return;
  HWY_ALIGN X x_end[hn::MaxLanes(Tag<X>())] = {};
  HWY_ALIGN X y_end[hn::MaxLanes(Tag<X>())] = {};
  std::copy(x + i, x + n, x_end);
  std::copy(y + i, y + n, y_end);
  hn::Store(f(hn::Load(d, x_end), hn::Load(d, y_end)), d, x_end);
  std::copy_n(x_end, n - i, z + i);
}

// The sum of squares, in four chains of additions.
template <typename X>
HWY_INLINE X squares(const X* x, int64_t n) {
  const Tag<X> d;
  const int64_t lanes = hn::Lanes(d);
  Vec<X> sum[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes)
    for (int u = 0; u < 4; ++u) {
      const Vec<X> v = hn::LoadU(d, x + i + u * lanes);
      sum[u] = hn::MulAdd(v, v, sum[u]);
    }
  for (; i + lanes <= n; i += lanes) {
    const Vec<X> v = hn::LoadU(d, x + i);
    sum[0] = hn::MulAdd(v, v, sum[0]);
  }
  X total = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3]))));
  for (; i < n; ++i) total += x[i] * x[i];
  return total;
}

template <typename X>
HWY_INLINE void norm_and_scale(const X* x, X* y, int64_t n, X eps, X scale) {
  const X factor = scale / std::sqrt(squares(x, n) / static_cast<X>(n) + eps);
  map(x, y, n, [&](Vec<X> v) HWY_ATTR { return hn::Mul(v, hn::Set(Tag<X>(), factor)); });
}

template <typename X>
HWY_INLINE void rotate_head(const X* x, const X* cos, const X* sin, X* y, int64_t dim) {
  const Tag<X> d;
  const int64_t lanes = hn::Lanes(d), half = dim / 2;
  int64_t i = 0;
  for (; i + lanes <= half; i += lanes) {
    const Vec<X> x1 = hn::LoadU(d, x + i), x2 = hn::LoadU(d, x + half + i);
    const Vec<X> c = hn::LoadU(d, cos + i), s = hn::LoadU(d, sin + i);
    hn::StoreU(hn::MulAdd(x1, c, hn::Mul(x2, s)), d, y + i);
    hn::StoreU(hn::MulSub(x2, c, hn::Mul(x1, s)), d, y + half + i);
  }
  for (; i < half; ++i) {
    const X x1 = x[i], x2 = x[half + i];
    y[i] = x1 * cos[i] + x2 * sin[i];
    y[half + i] = x2 * cos[i] - x1 * sin[i];
  }
}

template <typename X>
HWY_INLINE void gate(const X* x, X* y, int64_t n, X scale) {
  map(x, y, n, [&](Vec<X> v) HWY_ATTR {
    const Tag<X> d;
    // exp's argument is held where its result is finite; there 1 + exp is exp already. Min and Max may drop a NaN.
    const Vec<X> bounded = hn::Min(hn::Max(hn::Neg(v), hn::Set(d, X{-88})), hn::Set(d, X{88}));
    const Vec<X> result = hn::Div(hn::Set(d, scale), hn::Add(hn::Set(d, X{1}), hn::Exp(d, bounded)));
    return hn::IfThenElse(hn::IsNaN(v), v, result);
  });
}

template <typename X>
HWY_INLINE void square_above_zero(const X* x, X* y, int64_t n) {
  map(x, y, n, [](Vec<X> v) HWY_ATTR {
    const Vec<X> zero = hn::Zero(Tag<X>());
    const Vec<X> kept = hn::IfThenElse(hn::Lt(v, zero), zero, v);  // a NaN is not less
    return hn::Mul(kept, kept);
  });
}

template <typename X>
HWY_INLINE void cap_softly(const X* x, X* y, int64_t n, X cap) {
  map(x, y, n, [&](Vec<X> v) HWY_ATTR {
    const Tag<X> d;
    const Vec<X> capped = hn::Mul(hn::Set(d, cap), hn::Tanh(d, hn::Div(v, hn::Set(d, cap))));
    return hn::IfThenElse(hn::IsNaN(v), v, capped);
  });
}

// One function per type, for the dispatch tables.
#define KVPROOF_FOR_TYPE(X, NAME)                                                                                     \
  void rms_norm_##NAME(const X* x, X* y, int64_t n, X eps) { norm_and_scale(x, y, n, eps, X{1}); }                    \
  void rotate_##NAME(const X* x, const X* cos, const X* sin, X* y, int64_t dim) { rotate_head(x, cos, sin, y, dim); } \
  void rotate_norm_##NAME(const X* x, const X* cos, const X* sin, X* y, int64_t dim, X eps, X scale) {                \
    rotate_head(x, cos, sin, y, dim);                                                                                 \
    norm_and_scale(y, y, dim, eps, scale);                                                                            \
  }                                                                                                                   \
  void axpby_##NAME(X a, const X* x, X b, const X* y, X* z, int64_t n) {                                              \
    const Tag<X> d;                                                                                                   \
    map(x, y, z, n,                                                                                                   \
        [&](Vec<X> u, Vec<X> v) HWY_ATTR { return hn::MulAdd(hn::Set(d, a), u, hn::Mul(hn::Set(d, b), v)); });        \
  }                                                                                                                   \
  void add_##NAME(const X* y, X* x, int64_t n) {                                                                      \
    map(x, y, x, n, [](Vec<X> u, Vec<X> v) HWY_ATTR { return hn::Add(u, v); });                                       \
  }                                                                                                                   \
  void sigmoid_##NAME(const X* x, X* y, int64_t n, X scale) { gate(x, y, n, scale); }                                 \
  void relu_squared_##NAME(const X* x, X* y, int64_t n) { square_above_zero(x, y, n); }                               \
  void softcap_##NAME(const X* x, X* y, int64_t n, X cap) { cap_softly(x, y, n, cap); }
KVPROOF_FOR_TYPE(float, float)
KVPROOF_FOR_TYPE(double, double)
#undef KVPROOF_FOR_TYPE

// bfloat16 in memory, floats in vectors.
HWY_INLINE Vec<float> load_wide(const Bfloat16* x) {
  const Tag<float> d;
  const hn::Rebind<uint16_t, Tag<float>> d16;
  const hn::RebindToUnsigned<Tag<float>> d32;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, hn::LoadU(d16, &x->bits))));
}
HWY_INLINE void store_narrow(Vec<float> v, Bfloat16* y) {  // as to_bfloat16
  const hn::Rebind<uint16_t, Tag<float>> d16;
  const hn::RebindToUnsigned<Tag<float>> d32;
  const auto bits = hn::BitCast(d32, v), upper = hn::ShiftRight<16>(bits);
  const auto even = hn::Add(hn::Set(d32, 0x7fffu), hn::And(upper, hn::Set(d32, 1u)));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, even));
  const auto quiet = hn::Or(upper, hn::Set(d32, 0x40u));
  hn::StoreU(hn::TruncateTo(d16, hn::IfThenElse(hn::RebindMask(d32, hn::IsNaN(v)), quiet, rounded)), d16, &y->bits);
}

void widen(const Bfloat16* x, float* y, int64_t n) {
  const Tag<float> d;
  const int64_t lanes = hn::Lanes(d);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(load_wide(x + i), d, y + i);
  for (; i < n; ++i) y[i] = to_float(x[i]);
}

void narrow(const float* x, Bfloat16* y, int64_t n) {
  const Tag<float> d;
  const int64_t lanes = hn::Lanes(d);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store_narrow(hn::LoadU(d, x + i), y + i);
  for (; i < n; ++i) y[i] = to_bfloat16(x[i]);
}

void add_bfloat16(const Bfloat16* y, float* x, int64_t n) {
  const Tag<float> d;
  const int64_t lanes = hn::Lanes(d);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(hn::Add(hn::LoadU(d, x + i), load_wide(y + i)), d, x + i);
  for (; i < n; ++i) x[i] += to_float(y[i]);
}

void relu_squared_bfloat16(const Bfloat16* x, Bfloat16* y, int64_t n) {
  const Tag<float> d;
  const int64_t lanes = hn::Lanes(d);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const Vec<float> v = load_wide(x + i), kept = hn::IfThenElse(hn::Lt(v, hn::Zero(d)), hn::Zero(d), v);
    store_narrow(hn::Mul(kept, kept), y + i);
  }
  for (; i < n; ++i) {
    const float v = to_float(x[i]), kept = v < 0 ? 0 : v;
    y[i] = to_bfloat16(kept * kept);
  }
}

}  // namespace kvproof::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kvproof::kernels {

#define KVPROOF_FOR_TYPE(X, NAME)                                                                              \
  HWY_EXPORT(rms_norm_##NAME);                                                                                 \
  HWY_EXPORT(rotate_##NAME);                                                                                   \
  HWY_EXPORT(rotate_norm_##NAME);                                                                              \
  HWY_EXPORT(axpby_##NAME);                                                                                    \
  HWY_EXPORT(add_##NAME);                                                                                      \
  HWY_EXPORT(sigmoid_##NAME);                                                                                  \
  HWY_EXPORT(relu_squared_##NAME);                                                                             \
  HWY_EXPORT(softcap_##NAME);                                                                                  \
  void rms_norm(const X* x, X* y, int64_t n, X eps) { HWY_DYNAMIC_DISPATCH(rms_norm_##NAME)(x, y, n, eps); }   \
  void rotate(const X* x, const X* cos, const X* sin, X* y, int64_t dim) {                                     \
    HWY_DYNAMIC_DISPATCH(rotate_##NAME)(x, cos, sin, y, dim);                                                  \
  }                                                                                                            \
  void rotate_norm(const X* x, const X* cos, const X* sin, X* y, int64_t dim, X eps, X scale) {                \
    HWY_DYNAMIC_DISPATCH(rotate_norm_##NAME)(x, cos, sin, y, dim, eps, scale);                                 \
  }                                                                                                            \
  void axpby(X a, const X* x, X b, const X* y, X* z, int64_t n) {                                              \
    HWY_DYNAMIC_DISPATCH(axpby_##NAME)(a, x, b, y, z, n);                                                      \
  }                                                                                                            \
  void add(const X* y, X* x, int64_t n) { HWY_DYNAMIC_DISPATCH(add_##NAME)(y, x, n); }                         \
  void sigmoid(const X* x, X* y, int64_t n, X scale) { HWY_DYNAMIC_DISPATCH(sigmoid_##NAME)(x, y, n, scale); } \
  void relu_squared(const X* x, X* y, int64_t n) { HWY_DYNAMIC_DISPATCH(relu_squared_##NAME)(x, y, n); }       \
  void softcap(const X* x, X* y, int64_t n, X cap) { HWY_DYNAMIC_DISPATCH(softcap_##NAME)(x, y, n, cap); }
KVPROOF_FOR_TYPE(float, float)
KVPROOF_FOR_TYPE(double, double)
#undef KVPROOF_FOR_TYPE

HWY_EXPORT(widen);
HWY_EXPORT(narrow);
HWY_EXPORT(add_bfloat16);
HWY_EXPORT(relu_squared_bfloat16);
void add(const Bfloat16* y, float* x, int64_t n) { HWY_DYNAMIC_DISPATCH(add_bfloat16)(y, x, n); }
void relu_squared(const Bfloat16* x, Bfloat16* y, int64_t n) { HWY_DYNAMIC_DISPATCH(relu_squared_bfloat16)(x, y, n); }
void convert(const Bfloat16* x, float* y, int64_t n) { HWY_DYNAMIC_DISPATCH(widen)(x, y, n); }
void convert(const float* x, Bfloat16* y, int64_t n) { HWY_DYNAMIC_DISPATCH(narrow)(x, y, n); }
void convert(const float* x, float* y, int64_t n) {
  if (x != y) std::copy_n(x, n, y);
}
void convert(const double* x, double* y, int64_t n) {
  if (x != y) std::copy_n(x, n, y);
}

}  // namespace kvproof::kernels
#endif
