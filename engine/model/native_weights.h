// A checkpoint's tensors as the native model reads them: plain pointers.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "engine/model/rotary.h"
#include "engine/model/weights.h"

namespace kvproof::native {

/// Rows of embeddings in the type they are stored in.
struct Table {
  const void* data = nullptr;
  at::ScalarType type = at::kFloat;
  int64_t width = 0;

  /// out = elements [begin, begin + count) of row `id`, in another type.
  template <typename X>
  void look_up(int64_t id, int64_t begin, int64_t count, X* out) const;
};

/// Shapes as in GptWeights.
template <typename W, typename X>
struct Layer {
  const W *c_q, *c_k, *c_v, *c_proj, *c_fc, *mlp_c_proj;
  const W* ve_gate;  // null on layers without a value embedding
  Table value_embed;
  X resid_lambda, x0_lambda;
};

template <typename W, typename X>
class Weights {
 public:
  /// rotary  in the model's dtype; copied
  Weights(GptWeights weights, const RotaryTables& rotary);

  Table wte;
  const W *lm_head, *smear_gate;  // smear_gate: null without smear
  X smear_lambda, backout_lambda;
  std::vector<Layer<W, X>> layers;
  std::vector<X> cos, sin;  // (rotary_len, D / 2)

 private:
  GptWeights owned_;
};

}  // namespace kvproof::native
