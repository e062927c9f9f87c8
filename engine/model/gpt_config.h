// The resolved shape of one model: sizes, architecture, and what follows from them.
#pragma once

#include <cstdint>

#include "engine/checkpoint/generation.h"

namespace kvproof {

/// How many of an embedding's channels smear's gate reads.
inline constexpr int64_t kSmearChannels = 24;

struct GptConfig : ModelDims, Architecture {
  using Architecture::window_pattern;  // the resolved one; ModelDims has the meta file's

  GptConfig(const ModelDims& dims, const Architecture& architecture) : ModelDims(dims), Architecture(architecture) {}

  int64_t head_dim() const { return n_embd / n_head; }
  /// Positions the rotary tables cover; one more is a CapacityError.
  int64_t rotary_len() const { return 10 * sequence_len; }
  bool has_value_embed(int64_t layer) const { return has_value_embeds && layer % 2 == (n_layer - 1) % 2; }
  /// The layer after which the residual stream is kept for backout.
  int64_t backout_layer() const { return n_layer / 2; }
  /// How many keys back a query of this layer sees, beside its own; kUnlimited where nothing limits it.
  int64_t window(int64_t layer) const;
};

}  // namespace kvproof
