// Where a checkpoint lies: nanochat's base directory, source, tag and step.
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

struct CheckpointLocation {
  std::filesystem::path base_dir, model_file, meta_file;
  std::filesystem::path tokenizer_dir;  // empty where base_dir has no tokenizer/
  std::string source, tag;
  int64_t step = 0;
  /// One line for each thing the user left open, e.g. "source sft: the only one present"; for stderr.
  std::vector<std::string> guesses;
};

/// The base directory a request means: the one given, else $NANOCHAT_BASE_DIR, else ~/.cache/nanochat. It need not exist.
/// throws CheckpointError: none is given and the environment names none
std::filesystem::path resolve_base_dir(const CheckpointRequest& request);

/// Finds a checkpoint as nanochat does.
///
/// No source: the only one present, else sft, rl, mid, base. No tag: the `d<number>` folder with the largest number
/// (ties: last by name), else the folder modified last. No step: the largest that has both files.
/// A checkpoint counts only with both its files, neither of them empty.
/// throws CheckpointError: nothing found (which folders were searched, what lies there, which flag would find it).
///        ArgumentError: a source that does not exist (place "source"), a negative step ("step")
CheckpointLocation locate_checkpoint(const CheckpointRequest& request);

}  // namespace kvproof
