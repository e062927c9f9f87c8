#include "engine/model/weights.h"

#include <ATen/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/accumulate.h>
#include <fmt/format.h>

#include <cstdlib>

#include "engine/checkpoint/mapped_file.h"
#include "engine/kernels/huge_pages.h"

namespace kvproof {

namespace {

// A dense tensor; pages of its own where it fills one.
at::Tensor empty_in_huge_pages(at::IntArrayRef sizes, at::ScalarType dtype) {
  const auto bytes = static_cast<int64_t>(c10::multiply_integers(sizes) * c10::elementSize(dtype));
  if (bytes < kernels::kHugePage) return at::empty(sizes, dtype);
  void* memory = kernels::allocate_in_huge_pages(bytes);
  return at::from_blob(memory, sizes, [](void* data) { std::free(data); }, at::TensorOptions(dtype));
}

at::Tensor own_copy(const at::Tensor& stored, at::ScalarType dtype) {
  at::Tensor copy = empty_in_huge_pages(stored.sizes(), dtype);
  copy.copy_(stored);
  const bool as_read = !stored.is_inference() && stored._version() == 0;  // nobody has written into it
  if (as_read && stored.is_contiguous()) MappedFile::release(stored.const_data_ptr(), stored.nbytes());
  return copy;
}

}  // namespace

GptWeights load_weights(const Checkpoint& checkpoint, const GptConfig& config, at::ScalarType dtype, at::Device device,
                        Matrices matrices) {
  const c10::InferenceMode guard;
  const auto table = [&](const std::string& name) { return checkpoint.tensors.at(name).to(device).contiguous(); };
  const auto matrix = [&](const std::string& name) {
    if (matrices == Matrices::own) return own_copy(checkpoint.tensors.at(name), dtype);
    return matrices == Matrices::converted ? table(name).to(dtype) : table(name);
  };
  const auto scalar = [&](const std::string& name, int64_t i) {
    return checkpoint.tensors.at(name).flatten()[i].item().toDouble();
  };

  GptWeights weights;
  weights.wte = table("transformer.wte.weight");
  weights.lm_head = matrix("lm_head.weight").narrow(0, 0, config.vocab_size);
  if (config.has_smear) {
    weights.smear_gate = matrix("smear_gate.weight");
    weights.smear_lambda = scalar("smear_lambda", 0);
  }
  if (config.has_backout) weights.backout_lambda = scalar("backout_lambda", 0);
  for (int64_t i = 0; i < config.n_layer; ++i) {
    const std::string prefix = fmt::format("transformer.h.{}.", i);
    LayerWeights& layer = weights.layers.emplace_back();
    layer.c_q = matrix(prefix + "attn.c_q.weight");
    layer.c_k = matrix(prefix + "attn.c_k.weight");
    layer.c_v = matrix(prefix + "attn.c_v.weight");
    layer.c_proj = matrix(prefix + "attn.c_proj.weight");
    layer.c_fc = matrix(prefix + "mlp.c_fc.weight");
    layer.mlp_c_proj = matrix(prefix + "mlp.c_proj.weight");
    if (config.has_value_embed(i)) {
      layer.ve_gate = matrix(prefix + "attn.ve_gate.weight");
      layer.value_embed = table(fmt::format("value_embeds.{}.weight", i));
    }
    if (config.has_lambdas) {
      layer.resid_lambda = scalar("resid_lambdas", i);
      layer.x0_lambda = scalar("x0_lambdas", i);
    }
  }
  return weights;
}

}  // namespace kvproof
