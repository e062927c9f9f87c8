#include "engine/model/native_attention.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <limits>
#include <type_traits>

#include "engine/model/native_types.h"

namespace kvproof::native {

using kernels::Bfloat16;

template <typename W>
void attend(const AttentionTile<W>& a) {
  const c10::InferenceMode guard;  // of this thread
  const int64_t slots = a.end - a.begin;
  using Mask = std::conditional_t<std::is_same_v<W, double>, double, float>;
  const at::Tensor mask = at::full({a.count, slots}, -std::numeric_limits<Mask>::infinity(), scalar_type<Mask>());
  auto* row = mask.mutable_data_ptr<Mask>();
  for (int64_t t = 0; t < a.count; ++t, row += slots)
    if (a.seen[t].size() > 0) std::fill(row + a.seen[t].begin - a.begin, row + a.seen[t].end - a.begin, Mask{0});

  const auto kept = [&](const W* all) {  // (1, heads, slots, D)
    return tensor_of(all + a.begin * a.slot_stride, {1, a.heads, slots, a.dim},
                     {0, a.kv_head_stride, a.slot_stride, 1});
  };
  const at::Tensor q = tensor_of(a.q, {1, a.heads, a.count, a.dim}, {0, a.dim, a.q_stride, 1});
  const at::Tensor out =
      std::get<0>(at::_scaled_dot_product_flash_attention_for_cpu(q, kept(a.k), kept(a.v), 0.0, false, mask, a.scale));
  tensor_of(a.out, {1, a.heads, a.count, a.dim}, {0, a.dim, a.out_stride, 1}).copy_(out);
}

template void attend(const AttentionTile<float>&);
template void attend(const AttentionTile<double>&);
template void attend(const AttentionTile<Bfloat16>&);

}  // namespace kvproof::native
