// What identical code has shown on a machine: the noise floor behind a comparison's margin. Every comparison adds what its
// control showed.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/compare/verdict.h"

namespace kvproof {

/// {"kind": "aa", "started", "fingerprint", "metric", "log_ratio", "blocks"}, a line each.
inline constexpr const char* kNoiseFile = "results/runs/noise.jsonl";  // below the current folder; git ignores it

/// Nothing where there is no such file. throws RecordError: it cannot be read, or a line is damaged
std::vector<compare::AaEffect> read_noise(const std::filesystem::path& file);

/// Appends them; the file is made where it is missing.
/// throws RecordError: it cannot be written, or another process writes it just now
void add_noise(const std::filesystem::path& file, const std::string& started, int64_t blocks,
               const std::vector<compare::AaEffect>& effects);

}  // namespace kvproof
