// A second opinion on what the model computes: nanochat's forward once more, slow and obvious, in double.
//
// Nothing here knows the other forwards or their table of constants, so that a mistake they share shows. Torch-free.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kvproof {

/// A weight as stored, its values in double, row-major.
struct OracleTensor {
  std::vector<int64_t> shape;
  std::vector<double> values;
};

/// What there is to know of a model without having a forward of it.
struct OracleModel {
  /// As classified: 2025-10, 2025-12 (or both, with a slash), 2026-01, 2026-02, 2026-03a, 2026-03b or head; huggingface for
  /// what the transformers library computes, whose rope_base, softcap and norm_eps are then among the overrides.
  std::string generation;
  int64_t sequence_len = 0, vocab_size = 0, n_layer = 0, n_head = 0, n_kv_head = 0, n_embd = 0;
  std::optional<std::string> window_pattern;  // as in the meta file
  int64_t n_inner = 0;                        // hidden units of every mlp; 0: four for each channel
  /// The words of --arch: generation, rope_base, qk_scale, window_pattern, short_window, softcap, ve_gate_scale,
  /// rope_table_dtype, norm_eps.
  std::map<std::string, std::string> overrides;
  /// What the rope_table_dtype "compute" means. float64: the float32 tables as they are.
  std::string compute_dtype = "float64";
  /// A weight by nanochat's name, asked for once per forward; vocabulary rows may be padded. What it throws goes through.
  std::function<OracleTensor(const std::string& name)> tensor;
};

/// RoPE's tables, in double whatever they were rounded to.
struct OracleRotary {
  int64_t half = 0;                  // channels that turn by an angle of their own: head_dim / 2
  std::vector<double> cosine, sine;  // (positions, half)
};

/// All that differs between generations of nanochat's code, resolved for one model.
struct OracleConstants {
  double rope_base = 0;
  std::string rope_table_dtype;  // float64, float32, bfloat16 or float16; never "compute"
  double qk_scale = 0;           // on q and on k, after their norm
  double softcap = 0;  // 0: logits are not capped
  double norm_eps = 0;
  /// (n_layer) How many keys back a query sees, beside its own; absent: all of them.
  std::vector<std::optional<int64_t>> windows;
  bool has_lambdas = false;      // resid_lambdas, x0_lambdas
  int64_t ve_gate_channels = 0;  // of the normed residual stream, for the gate of value_embeds; 0: there are none
  double ve_gate_scale = 0;      // times a sigmoid
  int64_t smear_channels = 0;    // of the embedding, for the gate of smear; 0: there is none
  bool has_backout = false;
  int64_t backout_layer = 0;  // the residual stream behind this layer is what backout_lambda subtracts
  /// Absent: made from rope_base and rope_table_dtype. Else what to turn by instead, at least T positions: with another
  /// forward's own tables, checked apart, nothing is left that differs by more than double's rounding.
  std::optional<OracleRotary> rotary;
};

/// What one layer left, position by position.
struct OracleLayer {
  std::vector<double> k, v;  // (T, G, D) as a cache holds them: k after RoPE, norm and scale, v with value embeddings
  std::vector<double> attention;  // (T, C) the heads' outputs side by side, before c_proj
  std::vector<double> residual;   // (T, C) the residual stream behind the layer
};

struct OracleTrace {
  std::vector<int64_t> positions;           // where logits were computed, as asked for
  std::vector<std::vector<double>> logits;  // (positions, V)
  std::vector<double> embedded;             // (T, C) what enters layer 0: normed, smeared
  std::vector<OracleLayer> layers;          // (n_layer)
};

/// The constants of a model's generation with its overrides applied.
/// throws ArgumentError: an unknown generation, override or dtype, a value that does not fit (place "oracle.<key>")
OracleConstants oracle_constants(const OracleModel& model);

/// Full recompute of one row, in double.
///
/// ids              (T), 1 <= T <= 10 * sequence_len, each below vocab_size
/// logit_positions  each below T; may be empty
/// throws           ArgumentError: ids, positions, sizes out of range, or as oracle_constants(). CapacityError: too many
///                  ids. CheckpointError: a weight whose shape is not what the sizes ask for
/// cost             oracle_flops(), about 2e9 a second on one thread; one layer's weights at a time, and the trace
///
/// RoPE's tables are float32 in nanochat's order of operations, each operation correctly rounded. LibTorch's vectorised
/// pow, cos and sin sometimes err in float32's last bit, so that how closely a float64 forward on LibTorch's tables
/// agrees depends on their dtype. Worst seen over all golden generations, 716 positions:
///   bfloat16  1.2e-14: the last bit is rounded away, and nothing else differs. About one entry in a million does round
///             the other way (head size 128: first at position 2954); such entries moved logits by 5e-5
///   float32   1.7e-7
/// A last bit of pow is worse: one channel's angle is then off in proportion to the position. Of the head sizes tried,
/// 96, 192 and 256 (base 1e4), 80 and 192 (base 1e5) have such a channel, and 16, 32, 48, 64 and 128 have none. Over 600
/// positions logits then differed by 5.4e-5 with head size 96 (bfloat16), by 6.4e-6 with 192 (float32).
OracleTrace run_oracle(const OracleModel& model, const std::vector<int32_t>& ids,
                       const std::vector<int64_t>& logit_positions);

/// The same with constants of the caller's choice, made from oracle_constants(model): what would misread ones do?
/// throws  ArgumentError as well where they do not fit the sizes
OracleTrace run_oracle(const OracleModel& model, const OracleConstants& constants, const std::vector<int32_t>& ids,
                       const std::vector<int64_t>& logit_positions);

/// RoPE's tables of `positions` positions from `first_position` on.
OracleRotary oracle_rotary(const OracleConstants& constants, int64_t first_position, int64_t positions,
                           int64_t head_dim);

/// Between which numbers the entries lie if float32's pow, cos and sin err a little more than they must.
struct OracleRotaryBounds {
  OracleRotary lowest, highest;
};

/// last_bits  how many of float32's last bits (2^-23) the angle may be off, relatively, and a cosine or sine besides.
///            What rounds to the same bfloat16 either way has equal bounds
OracleRotaryBounds oracle_rotary_bounds(const OracleConstants& constants, int64_t first_position, int64_t positions,
                                        int64_t head_dim, double last_bits);

/// Floating-point operations of run_oracle, multiply and add counted apart: matrices, attention within its windows, and
/// logits. What is linear in n_embd (norms, RoPE, gates) is left out.
double oracle_flops(const OracleModel& model, int64_t tokens, int64_t logit_positions = 1);

}  // namespace kvproof
