#include "engine/model/native_walk.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "engine/kernels/vector_ops.h"
#include "engine/model/native_types.h"

namespace kvproof::native {

using kernels::Bfloat16;
using kernels::Member;
using kernels::Range;

template <typename W, typename X>
Walk<W, X>::Walk(const Forward<W, X>& forward) : f_(forward) {
  const GptConfig& c = f_.config;
  B_ = f_.plan.batch;
  T_ = f_.plan.length;
  n_ = B_ * T_;
  C_ = c.n_embd;
  H_ = c.n_head;
  G_ = c.n_kv_head;
  D_ = c.head_dim();
  I_ = c.mlp_width();
  V_ = c.vocab_size;
  qkv_width_ = (H_ + 2 * G_) * D_;
  few_ = n_ <= kFewRows;
  eps_ = static_cast<X>(c.norm_eps);

  Workspace<W, X>& work = f_.work;
  const int64_t lanes = few_ ? f_.members : 1;
  for (Buffer<X>* stream : {&work.x, &work.x0, &work.h}) stream->need(lanes * n_ * C_);
  if (c.has_backout) work.middle.need(lanes * n_ * C_);
  work.qkv.need(n_ * qkv_width_);
  work.y.need(n_ * H_ * D_);
  work.scratch.need(f_.members * scratch_size());
  if (few_ || std::is_same_v<W, X>) {
    work.hidden.need(n_ * I_);
    work.sums.need(n_ * C_);
  } else {
    work.h_narrow.need(n_ * C_);
    work.qkv_narrow.need(n_ * qkv_width_);
    work.y_narrow.need(n_ * H_ * D_);
    work.hidden_narrow.need(n_ * I_);
    work.sums_narrow.need(n_ * C_);
  }
  const int64_t logit_rows = f_.at == LogitsAt::all ? n_ : B_;
  if (!std::is_same_v<W, X> && logit_rows > kFewRows) work.logits_narrow.need(logit_rows * V_);
  work.runs.clear();
  for (int64_t h = 0; h < H_; ++h) {
    const int64_t kv_head = f_.plan.kv_head[h];
    if (!work.runs.empty() && work.runs.back().kv_head == kv_head && work.runs.back().count < kQueries) {
      ++work.runs.back().count;
    } else {
      work.runs.push_back({h, 1, kv_head});
    }
  }
  if (few_ && T_ == 1) work.parts.need(B_ * chunks() * H_ * (D_ + 1));
}

template <typename W, typename X>
void Walk<W, X>::operator()(Member& member) const {
  const GptConfig& c = f_.config;
  const Lane lane = lane_of(member);
  embed(member, lane);
  for (int64_t i = 0; i < c.n_layer; ++i) {
    const Layer<W, X>& layer = f_.weights.layers[i];
    if (c.has_lambdas) mix_with_start(lane, layer);
    norm(lane);
    publish(member);
    project(member, lane, i);
    attend(member, lane, i);
    update(member, lane, attended(), layer.c_proj);
    norm(lane);
    publish(member);
    expand(member, lane, layer);
    update(member, lane, hidden(), layer.mlp_c_proj);
    show(member, Stage::layer, i, lane.x, {B_, T_, C_}, {T_ * C_, C_, 1});
    if (c.has_backout && i == c.backout_layer()) copy(lane, lane.x, lane.middle);
  }
  head(member, lane);
}

template <typename W, typename X>
auto Walk<W, X>::lane_of(const Member& member) const -> Lane {
  Workspace<W, X>& work = f_.work;
  const int64_t at = few_ ? member.index() * n_ * C_ : 0;
  X* h = work.h.data() + at;
  return {.x = work.x.data() + at,
          .x0 = work.x0.data() + at,
          .middle = work.middle.data() + at,
          .h = activations(h, work.h_narrow, C_),
          .rows = few_ ? Range{0, n_} : member.share(n_),
          .scratch = work.scratch.data() + member.index() * scratch_size()};
}

// Where many rows are shared out, the others see a member's only after this.
template <typename W, typename X>
void Walk<W, X>::publish(Member& member) const {
  if (!few_) member.barrier();
}

template <typename W, typename X>
void Walk<W, X>::show(Member& member, Stage stage, int64_t layer, X* values, at::IntArrayRef sizes,
                      at::IntArrayRef strides) const {
  if (f_.tap == nullptr) return;
  member.barrier();
  if (member.index() == 0) {
    const c10::InferenceMode guard;
    (*f_.tap)(stage, layer, tensor_of(values, sizes, strides));
  }
  member.barrier();
}

// The normed embeddings, each mixed with its predecessor's where the architecture smears.
template <typename W, typename X>
void Walk<W, X>::embed(Member& member, const Lane& lane) const {
  const auto normed = [&](int32_t id, X* to) {
    f_.weights.wte.look_up(id, 0, C_, to);
    kernels::rms_norm(to, to, C_, eps_);
  };
  for (int64_t r = lane.rows.begin; r < lane.rows.end; ++r) normed(f_.tokens.ids[r], lane.x + r * C_);
  show(member, Stage::embed, 0, lane.x, {B_, T_, C_}, {T_ * C_, C_, 1});
  if (f_.config.has_smear) {
    X* before = lane.scratch;  // looked up again: nobody has to wait for another's rows
    for (int64_t r = lane.rows.begin; r < lane.rows.end; ++r) {
      const int32_t id = r % T_ == 0 ? f_.plan.rows[r / T_].previous_token : f_.tokens.ids[r - 1];
      if (id == kNoToken) continue;
      X* x = lane.x + r * C_;
      const X share = f_.weights.smear_lambda * gate(f_.weights.smear_gate, x, kSmearChannels, X{1});
      normed(id, before);
      kernels::axpby(share, before, X{1}, x, x, C_);
    }
  }
  show(member, Stage::smear, 0, lane.x, {B_, T_, C_}, {T_ * C_, C_, 1});
  if (f_.config.has_lambdas) copy(lane, lane.x, lane.x0);
}

// scale · sigmoid(x[: channels] · w)
template <typename W, typename X>
X Walk<W, X>::gate(const W* w, const X* x, int64_t channels, X scale) const {
  X value;
  kernels::matmul(kernels::Matmul<W, X>{w, channels, x, channels, &value, 1, 1, channels}, {0, 1});
  kernels::sigmoid(&value, &value, 1, scale);
  return value;
}

template <typename W, typename X>
void Walk<W, X>::copy(const Lane& lane, const X* from, X* to) const {
  std::copy(from + lane.rows.begin * C_, from + lane.rows.end * C_, to + lane.rows.begin * C_);
}

template <typename W, typename X>
void Walk<W, X>::mix_with_start(const Lane& lane, const Layer<W, X>& layer) const {
  const int64_t at = lane.rows.begin * C_;
  kernels::axpby(layer.resid_lambda, lane.x + at, layer.x0_lambda, lane.x0 + at, lane.x + at, lane.rows.size() * C_);
}

// h = norm(x), of the member's rows.
template <typename W, typename X>
void Walk<W, X>::norm(const Lane& lane) const {
  for (int64_t r = lane.rows.begin; r < lane.rows.end; ++r) {
    kernels::rms_norm(lane.x + r * C_, lane.h.x + r * C_, C_, eps_);
    narrow(lane.h, r, 0, C_);
  }
}

// Elements [begin, begin + count) of row r from x to w, where many rows of them are to be multiplied.
template <typename W, typename X>
void Walk<W, X>::narrow(const Activations<W, X>& a, int64_t r, int64_t begin, int64_t count) const {
  if constexpr (!std::is_same_v<W, X>) {
    const int64_t at = r * a.width + begin;
    if (!few_) kernels::convert(a.x + at, a.w + at, count);
  }
}

// The way back, of products.
template <typename W, typename X>
void Walk<W, X>::widen(const Activations<W, X>& a, int64_t r, int64_t begin, int64_t count) const {
  if constexpr (!std::is_same_v<W, X>) {
    const int64_t at = r * a.width + begin;
    if (!few_) kernels::convert(a.w + at, a.x + at, count);
  }
}

// x += a wᵀ
template <typename W, typename X>
void Walk<W, X>::update(Member& member, const Lane& lane, const Activations<W, X>& a, const W* w) const {
  const Activations<W, X> sums = activations(f_.work.sums.data(), f_.work.sums_narrow, C_);
  linear(a, w, sums, n_, member.share(C_, 8));
  member.barrier();
  const int64_t at = lane.rows.begin * C_, count = lane.rows.size() * C_;
  if (few_) {
    kernels::add(sums.x + at, lane.x + at, count);
  } else {
    kernels::add(sums.w + at, lane.x + at, count);
  }
}

// hidden = relu(h c_fcᵀ)²
template <typename W, typename X>
void Walk<W, X>::expand(Member& member, const Lane& lane, const Layer<W, X>& layer) const {
  const Range columns = member.share(I_, 8);
  const Activations<W, X> hidden = this->hidden();
  linear(lane.h, layer.c_fc, hidden, n_, columns);
  for (int64_t r = 0; r < n_; ++r) {
    const int64_t at = r * I_ + columns.begin;
    if (few_) {
      kernels::relu_squared(hidden.x + at, hidden.x + at, columns.size());
    } else {
      kernels::relu_squared(hidden.w + at, hidden.w + at, columns.size());
    }
  }
  member.barrier();
}

template <typename W, typename X>
void Walk<W, X>::head(Member& member, const Lane& lane) const {
  const GptConfig& c = f_.config;
  if (c.has_backout) {
    const int64_t at = lane.rows.begin * C_;
    kernels::axpby(X{1}, lane.x + at, -f_.weights.backout_lambda, lane.middle + at, lane.x + at, lane.rows.size() * C_);
  }
  const bool all = f_.at == LogitsAt::all;
  const int64_t rows = all ? n_ : B_;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t r = all ? i : i * T_ + f_.plan.rows[i].length - 1;
    if (r < lane.rows.begin || r >= lane.rows.end) continue;
    kernels::rms_norm(lane.x + r * C_, lane.h.x + i * C_, C_, eps_);
    narrow(lane.h, i, 0, C_);
  }
  publish(member);
  const Range columns = member.share(V_, 16);
  const Activations<W, X> logits = activations(f_.logits, f_.work.logits_narrow, V_);
  linear(lane.h, f_.weights.lm_head, logits, rows, columns);
  for (int64_t r = 0; r < rows; ++r) {
    X* own = f_.logits + r * V_ + columns.begin;
    if (rows > kFewRows) widen(logits, r, columns.begin, columns.size());
    if (c.softcap > 0) kernels::softcap(own, own, columns.size(), static_cast<X>(c.softcap));
  }
}

// What attention is stands in native_walk_attention.cc.
#define KVPROOF_FOR_TYPES(W, X)                                                                        \
  template Walk<W, X>::Walk(const Forward<W, X>&);                                                     \
  template void Walk<W, X>::operator()(Member&) const;                                                 \
  template void Walk<W, X>::show(Member&, Stage, int64_t, X*, at::IntArrayRef, at::IntArrayRef) const; \
  template void Walk<W, X>::narrow(const Activations<W, X>&, int64_t, int64_t, int64_t) const;         \
  template void Walk<W, X>::widen(const Activations<W, X>&, int64_t, int64_t, int64_t) const;          \
  template X Walk<W, X>::gate(const W*, const X*, int64_t, X) const;
KVPROOF_FOR_TYPES(float, float)
KVPROOF_FOR_TYPES(double, double)
KVPROOF_FOR_TYPES(Bfloat16, float)
#undef KVPROOF_FOR_TYPES

}  // namespace kvproof::native
