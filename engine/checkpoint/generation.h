// Which code trained a checkpoint: its keys tell. The only file that knows nanochat's generations by name.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace at {
class Tensor;  // named, not included: most who ask for sizes and constants hold no tensor, and its header is long
}

namespace kvproof {

using StateDict = std::map<std::string, at::Tensor>;  // as in state_dict.h

/// A window so long that it never ends attention.
inline constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max() / 4;

/// The sizes in meta_*.json's "model_config", and one more that only a config.json has.
struct ModelDims {
  int64_t sequence_len = 0, vocab_size = 0, n_layer = 0, n_head = 0, n_kv_head = 0, n_embd = 0;
  std::optional<std::string> window_pattern;  // absent: attention is unlimited
  int64_t n_inner = 0;                        // hidden units of every mlp; 0: 4 * n_embd, as in all of nanochat

  int64_t mlp_width() const { return n_inner != 0 ? n_inner : 4 * n_embd; }
};

/// Everything about the forward pass that neither the sizes nor the weights say.
struct Architecture {
  std::string generation;  // "2025-10/2025-12", "2026-01", "2026-02", "2026-03a", "head", or "huggingface"
  double rope_base = 0;
  double qk_scale = 0;                // q and k are multiplied by it after QK-norm
  std::string window_pattern;         // upper case "SSSL"; empty: unlimited
  int64_t short_window = kUnlimited;  // an S layer sees this many keys back, and its own
  int64_t long_window = kUnlimited;   // an L layer: sequence_len where a pattern is present
  double softcap = 0;             // 0: none, logits are as lm_head gives them
  bool has_lambdas = false;       // resid_lambdas, x0_lambdas
  bool has_smear = false;         // smear_gate, smear_lambda
  bool has_backout = false;       // backout_lambda
  bool has_value_embeds = false;  // on layers with i % 2 == (n_layer - 1) % 2
  int64_t ve_gate_channels = 0;   // the gate reads the first so many channels
  double ve_gate_scale = 0;       // gate = scale * sigmoid(...)
  std::string rope_table_dtype;   // "compute", or "bfloat16", "float16", "float32", "float64"
  double norm_eps = 0;            // 2^-23, float32's epsilon; in a Hugging Face checkpoint what config.json says
};

/// What was found out about a checkpoint, and what it cannot say.
struct Inference {
  std::string reason;                    // "smear_gate.weight is present"
  std::vector<std::string> ambiguities;  // each names the override to try, e.g. "softcap 15 or 20: … --arch softcap=20"
  /// "softcap 15: config.json, final_logit_softcapping": where each constant came from. Empty: all are the generation's.
  std::vector<std::string> origins;
};

/// key=value pairs that win over what was inferred: generation, rope_base, qk_scale, window_pattern, short_window,
/// softcap (or none), ve_gate_scale, rope_table_dtype, norm_eps.
using ArchitectureOverrides = std::map<std::string, std::string>;

/// Infers the architecture from the exact key set and checks every tensor's shape and dtype.
///
/// tensors  the state dict, prefix stripped; vocabulary rows may be padded
/// place    the file's name, for messages
/// throws   CheckpointError: missing, extra or mis-shaped tensors (named, expected, found); one of the four experimental
///          designs, by name; impossible sizes. ArgumentError: an override that is unknown or out of range, with
///          place "architecture.<key>".
Architecture infer_architecture(const ModelDims& dims, const StateDict& tensors, const std::string& place,
                                const ArchitectureOverrides& overrides, Inference* inference);

/// The generation of transformers' NanoChat; only a checkpoint in Hugging Face's layout has it, no override names it.
inline constexpr const char* kHuggingFace = "huggingface";

/// The architecture of such a checkpoint, checked as infer_architecture() does it.
///
/// stated   what config.json says, in the words of ArchitectureOverrides; overrides win over it
/// throws   as infer_architecture()
Architecture huggingface_architecture(const ModelDims& dims, const StateDict& tensors, const std::string& place,
                                      const ArchitectureOverrides& stated, const ArchitectureOverrides& overrides);

/// The architecture of a named generation, as the code of that time had it; "head" is the newest.
/// has_window_pattern tells 2026-01 before and after windows. throws ArgumentError: an unknown name (lists the known).
Architecture architecture_of(const std::string& generation, const ModelDims& dims);

/// throws CheckpointError (place, "model_config.<key>: …") unless the sizes are positive, plausible and fit each other, and
/// the window pattern consists of S and L (either case).
void check_dims(const ModelDims& dims, const std::string& place);

/// name -> expected shape of every tensor of a generation; the vocabulary's rows are given unpadded.
std::map<std::string, std::vector<int64_t>> expected_tensors(const Architecture& architecture, const ModelDims& dims);

}  // namespace kvproof
