// The walk's attention: projections, what becomes of heads, and the sums over keys and values.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/kernels/attention.h"
#include "engine/kernels/vector_ops.h"
#include "engine/model/native_attention.h"
#include "engine/model/native_walk.h"

namespace kvproof::native {

using kernels::Bfloat16;
using kernels::Member;
using kernels::Range;

// Queries, keys and values, (n, (H + 2G)·D) in this order, as attention reads them; keys and values into their slots.
template <typename W, typename X>
void Walk<W, X>::project(Member& member, const Lane& lane, int64_t i) const {
  const Layer<W, X>& w = f_.weights.layers[i];
  const int64_t heads = H_ + 2 * G_;
  // Whole heads where these come out even: their columns then need no other member.
  const bool whole = heads % member.size() == 0;
  const Range columns = member.share(qkv_width_, whole ? D_ : 8);
  const auto part = [&](const W* matrix, int64_t begin, int64_t end) {  // the columns that this matrix makes
    const Range own{std::max(columns.begin, begin) - begin, std::min(columns.end, end) - begin};
    const Activations<W, X> all = projected();
    if (own.size() > 0) linear<W, X>(lane.h, matrix, {all.x + begin, all.w + begin, all.width}, n_, own);
  };
  part(w.c_q, 0, H_ * D_);
  part(w.c_k, H_ * D_, (H_ + G_) * D_);
  part(w.c_v, (H_ + G_) * D_, qkv_width_);
  if (!whole) member.barrier();
  finish_heads(lane, i, member.share(heads));
  member.barrier();
  X* qkv = f_.work.qkv.data();
  const std::array<int64_t, 4> strides{T_ * qkv_width_, D_, qkv_width_, 1};
  show(member, Stage::query, i, qkv, {B_, H_, T_, D_}, strides);
  show(member, Stage::key, i, qkv + H_ * D_, {B_, G_, T_, D_}, strides);
  show(member, Stage::value, i, qkv + (H_ + G_) * D_, {B_, G_, T_, D_}, strides);
}

template <typename W, typename X>
void Walk<W, X>::finish_heads(const Lane& lane, int64_t i, Range heads) const {
  const LayerPlan& plan = f_.plan.layers[i];
  for (int64_t r = 0; r < n_; ++r) {
    const RowPlan& row = f_.plan.rows[r / T_];
    const int64_t t = r % T_, position = row.position + std::min(t, row.length - 1);  // padding stays in range
    const X *cos = f_.weights.cos.data() + position * (D_ / 2), *sin = f_.weights.sin.data() + position * (D_ / 2);
    for (int64_t u = heads.begin; u < heads.end; ++u) {
      X* head = f_.work.qkv.data() + r * qkv_width_ + u * D_;
      widen(projected(), r, u * D_, D_);
      const int64_t kv_head = (u - H_) % G_;  // of keys and values
      const bool value = u >= H_ + G_;
      if (value) {
        add_value_embedding(lane, i, r, kv_head, head);
      } else {
        kernels::rotate_norm(head, cos, sin, head, D_, eps_, static_cast<X>(u < H_ ? plan.q_scale : plan.k_scale));
      }
      if (u < H_) {
        narrow(projected(), r, u * D_, D_);
      } else if (t < row.length) {
        kernels::convert(head, slot(value ? f_.kv.values : f_.kv.keys, i, row.cache_row, kv_head, row.write_at + t),
                         D_);
      }
    }
  }
}

template <typename W, typename X>
void Walk<W, X>::add_value_embedding(const Lane& lane, int64_t i, int64_t r, int64_t kv_head, X* value) const {
  const Layer<W, X>& w = f_.weights.layers[i];
  if (w.ve_gate == nullptr) return;
  const int64_t channels = f_.config.ve_gate_channels;
  const X share =
      gate(w.ve_gate + kv_head * channels, lane.h.x + r * C_, channels, static_cast<X>(f_.config.ve_gate_scale));
  w.value_embed.look_up(f_.tokens.ids[r], kv_head * D_, D_, lane.scratch);
  kernels::axpby(share, lane.scratch, X{1}, value, value, D_);
}

// The slots that token t of row b sees.
template <typename W, typename X>
Range Walk<W, X>::seen_by(const LayerPlan& plan, int64_t b, int64_t t) const {
  const RowPlan& row = f_.plan.rows[b];
  if (t >= row.length) return {};  // padding
  const int64_t s = row.write_at + t;
  const Range seen{std::max(plan.key_begin[b], s - plan.window), std::min(plan.key_end[b], s + plan.diagonal + 1)};
  return seen.begin < seen.end ? seen : Range{};
}

// y (n, H·D), the heads' outputs. Members take turns at what there is to do: later queries see more keys.
template <typename W, typename X>
void Walk<W, X>::attend(Member& member, const Lane& lane, int64_t i) const {
  int64_t unit = 0;
  const auto mine = [&] { return unit++ % member.size() == member.index(); };
  const bool one_by_one = few_ || f_.plan.layers[i].key_block > 0;  // by our own kernel
  if (few_ && T_ == 1 && f_.members > static_cast<int>(f_.work.runs.size()) && f_.plan.layers[i].key_block == 0) {
    attend_in_chunks(member, i);
  } else if (T_ == 1) {
    for (int64_t b = 0; b < B_; ++b)
      for (const HeadRun& run : f_.work.runs)
        if (mine()) attend_few(lane, i, b, run, 0, 1);
  } else if (one_by_one) {
    for (int64_t first = 0; first < T_; first += kQueries)
      for (int64_t b = 0; b < B_; ++b)
        for (int64_t h = 0; h < H_; ++h)
          if (mine()) attend_few(lane, i, b, {h, 1, f_.plan.kv_head[h]}, first, std::min(kQueries, T_ - first));
  } else {
    const int64_t parts = std::min<int64_t>(member.size(), H_);
    for (int64_t first = 0; first < T_; first += kTile)
      for (int64_t b = 0; b < B_; ++b)
        for (int64_t part = 0; part < parts; ++part)
          if (mine())
            attend_many(i, b, {H_ * part / parts, H_ * (part + 1) / parts}, first, std::min(kTile, T_ - first));
  }
  member.barrier();
  if (f_.tap == nullptr) return;
  if (!one_by_one && T_ > 1 && member.index() == 0)
    for (int64_t r = 0; r < n_; ++r) widen(attended(), r, 0, H_ * D_);
  show(member, Stage::attention, i, f_.work.y.data(), {B_, H_, T_, D_}, {T_ * H_ * D_, D_, H_ * D_, 1});
}

// Our own attention of tokens [first, first + count) of one row for one run of heads; more than one token only for a run of
// one. `seen` has room for kQueries.
template <typename W, typename X>
kernels::Attention<W, X> Walk<W, X>::attention_of(const LayerPlan& plan, int64_t i, int64_t b, const HeadRun& run,
                                                  int64_t first, int64_t count, const Range* seen) const {
  const int64_t width = H_ * D_, at = b * T_ + first, cache_row = f_.plan.rows[b].cache_row;
  return {.q = f_.work.qkv.data() + at * qkv_width_ + run.first * D_,
          .q_stride = count > 1 ? qkv_width_ : D_,
          .k = slot(f_.kv.keys, i, cache_row, run.kv_head, 0),
          .k_stride = f_.kv.slot,
          .v = slot(f_.kv.values, i, cache_row, run.kv_head, 0),
          .v_stride = f_.kv.slot,
          .out = f_.work.y.data() + at * width + run.first * D_,
          .out_stride = count > 1 ? width : D_,
          .ranges = seen,
          .n = run.count * count,
          .dim = D_,
          .scale = static_cast<X>(plan.attention_scale)};
}

template <typename W, typename X>
void Walk<W, X>::attend_few(const Lane& lane, int64_t i, int64_t b, const HeadRun& run, int64_t first,
                            int64_t count) const {
  const LayerPlan& plan = f_.plan.layers[i];
  Range seen[kQueries];
  for (int64_t q = 0; q < run.count * count; ++q) seen[q] = seen_by(plan, b, first + (count > 1 ? q : 0));
  const kernels::Attention<W, X> a = attention_of(plan, i, b, run, first, count, seen);
  if (plan.key_block > 0) {
    attend_by_blocks(a, plan.key_block, lane.scratch);
  } else {
    kernels::attend(a);
  }
  for (int64_t t = first; t < first + count; ++t) narrow(attended(), b * T_ + t, run.first * D_, run.count * D_);
}

// Where members outnumber the heads they share out the keys as well: each sums over chunks of them, and then the chunks are
// weighed by the sums of their weights. A row's chunks depend on the team, not on other rows.
template <typename W, typename X>
void Walk<W, X>::attend_in_chunks(Member& member, int64_t i) const {
  const LayerPlan& plan = f_.plan.layers[i];
  X *parts = f_.work.parts.data(), *lse = parts + B_ * chunks() * H_ * D_;  // (B, chunks, H, D) and (B, chunks, H)
  int64_t unit = 0;
  for (int64_t b = 0; b < B_; ++b) {
    const Range all = seen_by(plan, b, 0);
    for (int64_t c = all.begin / kChunk; c * kChunk < all.end; ++c)
      for (const HeadRun& run : f_.work.runs) {
        if (unit++ % member.size() != member.index()) continue;
        Range seen[kQueries];
        std::fill_n(seen, run.count, Range{std::max(all.begin, c * kChunk), std::min(all.end, (c + 1) * kChunk)});
        const int64_t at = (b * chunks() + c) * H_ + run.first;
        kernels::Attention<W, X> a = attention_of(plan, i, b, run, 0, 1, seen);
        a.out = parts + at * D_;
        a.lse = lse + at;
        kernels::attend(a);
      }
  }
  member.barrier();
  const Range own = member.share(B_ * H_);
  for (int64_t u = own.begin; u < own.end; ++u) {
    const int64_t b = u / H_, h = u % H_;
    const Range all = seen_by(plan, b, 0);
    const auto at = [&](int64_t c) { return (b * chunks() + c) * H_ + h; };
    X top = -std::numeric_limits<X>::infinity(), sum = 0;
    for (int64_t c = all.begin / kChunk; c * kChunk < all.end; ++c) top = std::max(top, lse[at(c)]);
    for (int64_t c = all.begin / kChunk; c * kChunk < all.end; ++c) sum += std::exp(lse[at(c)] - top);
    X* out = f_.work.y.data() + u * D_;
    std::fill_n(out, D_, X{0});
    for (int64_t c = all.begin / kChunk; c * kChunk < all.end; ++c)
      kernels::axpby(std::exp(lse[at(c)] - top) / sum, parts + at(c) * D_, X{1}, out, out, D_);
  }
}

// Tokens [first, first + count) of one row for some heads: one call for heads that read one kv head, or one each in order.
template <typename W, typename X>
void Walk<W, X>::attend_many(int64_t i, int64_t b, Range heads, int64_t first, int64_t count) const {
  const LayerPlan& plan = f_.plan.layers[i];
  const RowPlan& row = f_.plan.rows[b];
  const std::vector<int64_t>& kv_head = f_.plan.kv_head;
  Range seen[kTile], all{std::numeric_limits<int64_t>::max(), 0};
  for (int64_t t = 0; t < count; ++t) {
    seen[t] = seen_by(plan, b, first + t);
    if (seen[t].size() > 0) all = {std::min(all.begin, seen[t].begin), std::max(all.end, seen[t].end)};
  }
  const int64_t at = b * T_ + first, width = H_ * D_;
  for (int64_t h = heads.begin, next; h < heads.end; h = next) {
    next = h + 1;
    const int64_t step = next < heads.end ? kv_head[next] - kv_head[h] : 0;
    const bool regular = step == 0 || step == 1;
    while (regular && next < heads.end && kv_head[next] - kv_head[next - 1] == step) ++next;
    W* out = attended().w + at * width + h * D_;
    if (all.begin >= all.end) {  // nobody sees anything
      for (int64_t t = 0; t < count; ++t) std::fill_n(out + t * width, (next - h) * D_, W{});
      continue;
    }
    native::attend(AttentionTile<W>{
        .q = projected().w + at * qkv_width_ + h * D_,
        .q_stride = qkv_width_,
        .k = slot(f_.kv.keys, i, row.cache_row, kv_head[h], 0),
        .v = slot(f_.kv.values, i, row.cache_row, kv_head[h], 0),
        .kv_head_stride = step * f_.kv.head,
        .slot_stride = f_.kv.slot,
        .out = out,
        .out_stride = width,
        .seen = seen,
        .begin = all.begin,
        .end = all.end,
        .heads = next - h,
        .count = count,
        .dim = D_,
        .scale = plan.attention_scale,
    });
  }
}

// The last block first; each adds its share to what the blocks behind it made.
template <typename W, typename X>
void Walk<W, X>::attend_by_blocks(kernels::Attention<W, X> a, int64_t block, X* scratch) const {
  const Range* seen = a.ranges;
  X *total = a.out, *part = scratch, *total_lse = part + kQueries * D_, *part_lse = total_lse + kQueries;
  const int64_t total_stride = a.out_stride;
  int64_t end = 0;
  for (int64_t q = 0; q < a.n; ++q) end = std::max(end, seen[q].end);
  for (int64_t q = 0; q < a.n; ++q) {
    std::fill_n(total + q * total_stride, D_, X{0});
    total_lse[q] = -std::numeric_limits<X>::infinity();
  }
  Range within[kQueries];
  a.ranges = within;
  a.out = part;
  a.out_stride = D_;
  a.lse = part_lse;
  for (int64_t begin = (end - 1) / block * block; begin >= 0; begin -= block) {
    for (int64_t q = 0; q < a.n; ++q)
      within[q] = {std::max(seen[q].begin, begin), std::min(seen[q].end, begin + block)};
    kernels::attend(a);
    for (int64_t q = 0; q < a.n; ++q) {
      if (within[q].end <= within[q].begin) continue;
      const X top = std::max(total_lse[q], part_lse[q]), before = std::exp(total_lse[q] - top),
              here = std::exp(part_lse[q] - top);
      X* out = total + q * total_stride;
      kernels::axpby(before / (before + here), out, here / (before + here), part + q * D_, out, D_);
      total_lse[q] = top + std::log(before + here);
    }
  }
}

#define KVPROOF_FOR_TYPES(W, X)                                           \
  template void Walk<W, X>::project(Member&, const Lane&, int64_t) const; \
  template void Walk<W, X>::attend(Member&, const Lane&, int64_t) const;
KVPROOF_FOR_TYPES(float, float)
KVPROOF_FOR_TYPES(double, double)
KVPROOF_FOR_TYPES(Bfloat16, float)
#undef KVPROOF_FOR_TYPES

}  // namespace kvproof::native
