// Checkpoints in Hugging Face's layout: NanoChatForCausalLM of the transformers library, as its save_pretrained writes it.
//
// What transformers computes is nanochat's forward of October 2025 (no lambdas, no windows, no value embeddings) with
// constants that config.json states, and three habits of its own: its norms' eps is rms_norm_eps in every dtype, its RoPE
// tables are float32 rounded to the model's dtype, and its norms are taken in float32 even in a float64 model (ours are
// not: float64 logits differ by that, some 1e-6; with its norms in float64 they are equal to 2e-14).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/checkpoint/generation.h"
#include "engine/checkpoint/state_dict.h"

namespace kvproof {

/// What config.json says, in this project's words.
struct HuggingFaceConfig {
  ModelDims dims;                 // sequence_len is max_position_embeddings
  bool tied = false;              // tie_word_embeddings: lm_head is the embedding
  ArchitectureOverrides stated;   // rope_base, softcap (or none) and norm_eps
  ArchitectureOverrides origins;  // the same keys: the field each came from, or that transformers' default stands in
  std::vector<std::string> not_read;  // fields that NanoChat of transformers does not have
};

/// Reads config.json. Strict about all that changes what the model computes: what is not run here is refused.
///
/// place   the file's name, for messages
/// throws  CheckpointError: not JSON, another model_type, a size that is missing or does not fit, a RoPE other than the default,
///         sliding windows, biases, another activation, a head_dim of its own, quantized weights
HuggingFaceConfig read_huggingface_config(std::string_view text, const std::string& place);

/// The tensors under nanochat's names; they share their bytes.
///
/// place   the file's name, for messages
/// throws  CheckpointError: missing, extra or mis-shaped tensors (named as in the file); an lm_head that is tied and yet
///         differs from the embedding
StateDict with_nanochat_names(const StateDict& tensors, const HuggingFaceConfig& config, const std::string& place);

}  // namespace kvproof
