// A checkpoint's tensors under the names the forward uses, on one device.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "engine/checkpoint/checkpoint.h"
#include "engine/model/gpt_config.h"

namespace kvproof {

struct LayerWeights {
  at::Tensor c_q;          // (H·D, C)
  at::Tensor c_k, c_v;     // (G·D, C)
  at::Tensor c_proj;       // (C, H·D)
  at::Tensor c_fc;         // (I, C), I = mlp_width()
  at::Tensor mlp_c_proj;   // (C, I)
  at::Tensor ve_gate;      // (G, ve_gate_channels), undefined on layers without a value embedding
  at::Tensor value_embed;  // (V, G·D), likewise; as stored
  double resid_lambda = 1, x0_lambda = 0;
};

struct GptWeights {
  at::Tensor wte;         // (V, C) or with padding rows, as stored
  at::Tensor lm_head;     // (V, C), padding rows cut off
  at::Tensor smear_gate;  // (1, 24), undefined without smear
  double smear_lambda = 0, backout_lambda = 0;
  std::vector<LayerWeights> layers;
};

enum class Matrices {
  as_stored,  // who uses them converts them
  converted,  // once; those of the wanted dtype on the CPU stay where they are mapped
  own,        // on the CPU: converted or copied into large pages; the checkpoint file's pages are let go of again
};

/// Embedding tables stay in the dtype they are stored in: a row is converted when it is looked up.
GptWeights load_weights(const Checkpoint& checkpoint, const GptConfig& config, at::ScalarType dtype, at::Device device,
                        Matrices matrices);

}  // namespace kvproof
