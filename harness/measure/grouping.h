// In which order cases run: those that share a model together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/config/config.h"

namespace kvproof {

/// Cases that share a model and a thread count.
struct CaseGroup {
  RunSpec run;                     // of all its cases, as far as the model is concerned
  std::vector<std::size_t> cases;  // indices into LoadedConfig::cases, ascending
};

/// The groups of one checkpoint, by first appearance; "auto" and what it stands for are different groups.
std::vector<CaseGroup> group_cases(const LoadedConfig& config, std::size_t checkpoint);

/// All checkpoints that have a case, by first appearance.
std::vector<std::size_t> used_checkpoints(const LoadedConfig& config);

}  // namespace kvproof
