#include "engine/model/rotary.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "engine/model/dtype.h"

namespace kvproof {

RotaryTables make_rotary_tables(const GptConfig& config, at::ScalarType dtype, at::Device device) {
  const c10::InferenceMode guard;
  const int64_t D = config.head_dim();
  const at::Tensor channels = at::arange(0, D, 2, at::TensorOptions().dtype(at::kFloat));                 // (D/2)
  const at::Tensor inv_freq = 1.0 / at::pow(at::Scalar(config.rope_base), channels / static_cast<double>(D));  // (D/2)
  const at::Tensor positions = at::arange(config.rotary_len(), at::TensorOptions().dtype(at::kFloat));    // (R)
  const at::Tensor angles = at::outer(positions, inv_freq);                                               // (R, D/2)
  const at::ScalarType table_dtype = config.rope_table_dtype == "compute" ? dtype : parse_dtype(config.rope_table_dtype);
  const auto round = [&](const at::Tensor& table) { return table.to(table_dtype).to(dtype).to(device).contiguous(); };
  return {round(angles.cos()), round(angles.sin())};
}

}  // namespace kvproof
