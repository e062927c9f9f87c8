// A checkpoint in memory: sizes, architecture and weights, from disk or synthesized.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/checkpoint/generation.h"
#include "engine/checkpoint/locate.h"
#include "engine/checkpoint/state_dict.h"

namespace kvproof {

struct Checkpoint {
  std::string name;             // "sft/d4 step 160", a Hugging Face folder's name, or the synthetic spec; for people
  CheckpointLocation location;  // empty paths for one that is on no disk
  ModelDims dims;
  Architecture architecture;
  Inference inference;
  std::optional<double> val_bpb;
  std::string meta_json;  // the meta file, or config.json, as it stands; empty for a synthetic one
  /// What config.json states of the architecture, in --arch's words; empty without one. Overrides have won over it.
  ArchitectureOverrides stated;
  StateDict tensors;      // as stored: dtypes mixed, rows perhaps padded
};

/// Finds, maps, classifies and checks a checkpoint. Reads Infinity and NaN in the meta file as Python writes them.
/// throws CheckpointError, ArgumentError (see locate.h, state_dict.h, safetensors.h, huggingface.h, generation.h)
Checkpoint load_checkpoint(const CheckpointRequest& request, const ArchitectureOverrides& overrides = {});

/// A checkpoint's two files where they are in memory for as long as the program runs.
struct CheckpointBytes {
  std::string name;              // the checkpoint's name, and the place in messages: "name: meta", "name: model"
  std::string_view model, meta;  // the .pt and the .json
};

/// Classifies and checks a checkpoint in memory; its location is empty. The tensors share the bytes.
/// throws CheckpointError, ArgumentError (see state_dict.h, generation.h)
Checkpoint load_checkpoint_bytes(const CheckpointBytes& bytes, const ArchitectureOverrides& overrides = {});

/// Makes a checkpoint out of a spec such as "d4" or "d4,vocab_size=2048,n_kv_head=1,generation=2026-01,seed=3".
///
/// dN: n_layer N, n_embd 64·N, head dim 128, n_kv_head = n_head = N/2, vocab_size 32768, sequence_len 2048,
/// window_pattern SSSL, generation head, seed 0. Fields: every ModelDims field but n_inner, generation, seed, dtype (of the stored
/// matrices: float32 | bfloat16 | float16). Weights are "hot": no projection, gate, smear or backout is zero, so that every
/// part of the forward moves the logits. The same spec gives the same weights everywhere, whatever the thread count.
/// throws ArgumentError with place "synthetic" (the spec's fault, what is allowed)
Checkpoint synthesize_checkpoint(const std::string& spec, const ArchitectureOverrides& overrides = {});

/// Writes a checkpoint as a nanochat base directory: <dir>/base_checkpoints/<tag>/{model,meta}_<step>, and a small
/// byte-level tokenizer/ whose size is vocab_size where that allows one. Refuses to overwrite, and an n_inner, which nanochat's meta file cannot say.
/// throws CheckpointError
void save_checkpoint(const Checkpoint& checkpoint, const std::filesystem::path& base_dir, const std::string& tag,
                     int64_t step);

}  // namespace kvproof
