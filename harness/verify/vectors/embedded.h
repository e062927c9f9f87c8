// What nanochat's Python computed, as bytes inside the program. See generations/README.md.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace kvproof {

/// The files of one generation, in memory for as long as the program runs.
struct EmbeddedGeneration {
  std::string name;              // the folder's: "2026-02-softcap20"
  std::string_view model, meta;  // a checkpoint: model_*.pt and meta_*.json
  std::string_view tokenizer;    // tokenizer.pkl
  std::string_view outputs;      // golden.json
  std::string_view tensors;      // golden.pt
};

/// Oldest first.
std::span<const EmbeddedGeneration> embedded_generations();

}  // namespace kvproof
