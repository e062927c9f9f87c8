// Where a checkpoint lies: nanochat's base directory, source, tag and step; or a folder in Hugging Face's layout.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kvproof {

/// What the user said about where the checkpoint is. Everything but the base directory may be left open.
struct CheckpointRequest {
  std::filesystem::path base_dir = {};     // empty: $NANOCHAT_BASE_DIR, else ~/.cache/nanochat
  std::optional<std::string> source = {};  // base | mid | sft | rl
  std::optional<std::string> tag = {};     // d4, d12, … or any folder name
  std::optional<int64_t> step = {};
};

enum class CheckpointLayout { nanochat, huggingface };

struct CheckpointLocation {
  CheckpointLayout layout = CheckpointLayout::nanochat;
  /// model_file is the .pt, or model.safetensors, or model.safetensors.index.json beside its shards; meta_file the
  /// meta_*.json, or config.json.
  std::filesystem::path base_dir, model_file, meta_file;
  /// base_dir's tokenizer/; or, in Hugging Face's layout, base_dir itself where it has a tokenizer.json. Else empty
  std::filesystem::path tokenizer_dir;
  std::string source, tag;  // empty in Hugging Face's layout
  int64_t step = 0;
  /// One line for each thing the user left open, e.g. "source sft: the only one present"; for stderr.
  std::vector<std::string> guesses;

  /// Whether model_file is the index of several .safetensors files.
  bool is_sharded() const { return layout == CheckpointLayout::huggingface && model_file.extension() == ".json"; }
};

/// The base directory a request means: the one given, else $NANOCHAT_BASE_DIR, else ~/.cache/nanochat. It need not exist.
/// throws CheckpointError: none is given and the environment names none
std::filesystem::path resolve_base_dir(const CheckpointRequest& request);

/// Finds a checkpoint as nanochat does.
///
/// No source: the only one present, else sft, rl, mid, base. No tag: the `d<number>` folder with the largest number
/// (ties: last by name), else the folder modified last. No step: the largest that has both files.
/// A checkpoint counts only with both its files, neither of them empty.
/// A base directory without any of nanochat's folders, with config.json and safetensors in it, is in Hugging Face's layout.
/// throws CheckpointError: nothing found (which folders were searched, what lies there, which flag would find it).
///        ArgumentError: a source that does not exist (place "source"), a negative step ("step"); a source, tag or step where
///        there are none, in Hugging Face's layout
CheckpointLocation locate_checkpoint(const CheckpointRequest& request);

}  // namespace kvproof
