// Rotary position embedding: the tables nanochat makes, to the bit.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/model/gpt_config.h"

namespace kvproof {

struct RotaryTables {
  at::Tensor cos, sin;  // (rotary_len, D / 2) in the model's dtype
};

/// inv_freq, angles, cos and sin in float32 and in nanochat's order of operations, rounded to the architecture's
/// rope_table_dtype ("compute": the model's own), then converted to the model's dtype. float64 models convert the float32 tables.
RotaryTables make_rotary_tables(const GptConfig& config, at::ScalarType dtype, at::Device device);

}  // namespace kvproof
