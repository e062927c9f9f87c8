#include "engine/model/native_weights.h"

#include <ATen/ATen.h>

#include <utility>

#include "engine/kernels/bfloat16.h"
#include "engine/model/native_types.h"

namespace kvproof::native {
namespace {

Table table(const at::Tensor& rows) {
  TORCH_CHECK(rows.is_contiguous(), "native model: a table of embeddings is not dense");
  return {rows.const_data_ptr(), rows.scalar_type(), rows.size(1)};
}

template <typename W>
const W* matrix(const at::Tensor& weight) {
  if (!weight.defined()) return nullptr;
  TORCH_CHECK(weight.is_contiguous() && weight.element_size() == sizeof(W),
              "native model: a matrix is not what it was converted to");
  return static_cast<const W*>(weight.const_data_ptr());
}

template <typename X>
std::vector<X> copied(const at::Tensor& rotary) {
  const at::Tensor wide = rotary.to(scalar_type<X>()).contiguous();
  const auto* begin = wide.const_data_ptr<X>();
  return {begin, begin + wide.numel()};
}

}  // namespace

template <typename X>
void Table::look_up(int64_t id, int64_t begin, int64_t count, X* out) const {
  const auto copy = [&](auto* rows) {
    const auto* from = rows + id * width + begin;
    for (int64_t i = 0; i < count; ++i) out[i] = static_cast<X>(from[i]);
  };
  switch (type) {
    case at::kFloat:
      return copy(static_cast<const float*>(data));
    case at::kBFloat16:
      return copy(static_cast<const at::BFloat16*>(data));
    case at::kHalf:
      return copy(static_cast<const at::Half*>(data));
    case at::kDouble:
      return copy(static_cast<const double*>(data));
    default:
      TORCH_CHECK(false, "native model: embeddings of dtype ", type);
  }
}

template <typename W, typename X>
Weights<W, X>::Weights(GptWeights weights, const RotaryTables& rotary) : owned_(std::move(weights)) {
  wte = table(owned_.wte);
  lm_head = matrix<W>(owned_.lm_head);
  smear_gate = matrix<W>(owned_.smear_gate);
  smear_lambda = static_cast<X>(owned_.smear_lambda);
  backout_lambda = static_cast<X>(owned_.backout_lambda);
  for (const LayerWeights& w : owned_.layers) {
    layers.push_back({matrix<W>(w.c_q), matrix<W>(w.c_k), matrix<W>(w.c_v), matrix<W>(w.c_proj), matrix<W>(w.c_fc),
                      matrix<W>(w.mlp_c_proj), matrix<W>(w.ve_gate),
                      w.value_embed.defined() ? table(w.value_embed) : Table{}, static_cast<X>(w.resid_lambda),
                      static_cast<X>(w.x0_lambda)});
  }
  cos = copied<X>(rotary.cos);
  sin = copied<X>(rotary.sin);
}

template void Table::look_up(int64_t, int64_t, int64_t, float*) const;
template void Table::look_up(int64_t, int64_t, int64_t, double*) const;
template class Weights<float, float>;
template class Weights<double, double>;
template class Weights<kernels::Bfloat16, float>;

}  // namespace kvproof::native
