// What nanochat's own Python code computed, as copied into harness/verify/vectors/generations.
#pragma once

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "engine/checkpoint/checkpoint.h"
#include "tests/support/catch.h"

namespace kvproof::testing {

inline const std::vector<std::string>& golden_generations() {
  static const std::vector<std::string> kNames = {"2025-10", "2025-12", "2026-01", "2026-01-windows", "2026-02",
                                                  "2026-02-softcap20", "2026-03a", "head"};
  return kNames;
}

inline std::string golden_path(const std::string& generation) { return source_path("harness/verify/vectors/generations/" + generation); }

inline nlohmann::json read_json(const std::string& file) {
  std::ifstream in(file);
  REQUIRE(in);
  return nlohmann::json::parse(in);
}

/// The overrides that a golden checkpoint's keys cannot tell, as its golden.json gives them.
inline ArchitectureOverrides golden_overrides(const nlohmann::json& golden) {
  ArchitectureOverrides overrides;
  if (!golden.contains("architecture")) return overrides;
  for (const auto& [key, value] : golden["architecture"].items())
    overrides[key] = value.is_string() ? value.get<std::string>() : value.dump();
  return overrides;
}

inline Checkpoint golden_checkpoint(const std::string& generation) {
  return load_checkpoint({.base_dir = golden_path(generation)},
                         golden_overrides(read_json(golden_path(generation) + "/golden.json")));
}

inline Checkpoint demo_checkpoint() {
  return load_checkpoint({.base_dir = source_path("configs/checkpoints/demo-d4")});
}

/// A small hot model whose every part matters: 4 layers SSSL, a window of 5 keys, GQA 4:2, an odd vocabulary.
/// fields  "key=value,…" that replace or add to these
inline Checkpoint small_checkpoint(const std::string& fields = "", ArchitectureOverrides overrides = {{"short_window", "5"}}) {
  std::map<std::string, std::string> spec = {
      {"n_embd", "64"}, {"n_head", "4"}, {"n_kv_head", "2"}, {"vocab_size", "97"}, {"sequence_len", "64"}};
  std::istringstream in(fields);
  for (std::string field; std::getline(in, field, ',');) spec[field.substr(0, field.find('='))] = field.substr(field.find('=') + 1);
  std::string text = "d4";
  for (const auto& [key, value] : spec) text += "," + key + "=" + value;
  return synthesize_checkpoint(text, overrides);
}

/// n distinct-neighboured ids below the vocabulary size, the same on every machine.
inline std::vector<int32_t> some_tokens(int64_t n, int64_t vocab_size, uint64_t seed = 1) {
  std::vector<int32_t> ids;
  uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 12345;
  while (static_cast<int64_t>(ids.size()) < n) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const auto id = static_cast<int32_t>((state >> 33) % static_cast<uint64_t>(vocab_size));
    if (ids.empty() || ids.back() != id) ids.push_back(id);
  }
  return ids;
}

}  // namespace kvproof::testing
