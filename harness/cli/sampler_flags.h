// The flags that say how tokens are chosen: the same for generate and chat, with other defaults.
#pragma once

#include "engine/generate/sampler.h"
#include "harness/cli/command.h"

namespace kvproof::cli {

inline constexpr int64_t kMostTokens = 1048576;
inline constexpr int64_t kMostSamples = 4096;

/// Declares --temperature --top-k --seed --sampler. defaults are for the help.
void add_sampler_flags(CLI::App& app, const SamplerSettings& defaults);
/// throws ArgumentError with the flag as its place
SamplerSettings read_sampler_flags(const Arguments& arguments, const SamplerSettings& defaults);

}  // namespace kvproof::cli
