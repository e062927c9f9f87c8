// What run and plan have in common: a config and its overrides, and how long things take in words.
#pragma once

#include <string>

#include "harness/cli/command.h"
#include "harness/config/config.h"

namespace kvproof::cli {

inline constexpr const char* kRunFolder = "results/runs";  // below the current folder

/// Declares CONFIG and --set.
void add_config_flags(CLI::App& app);
/// throws ArgumentError, ConfigError
LoadedConfig read_config_flags(const Arguments& arguments);

/// "3 s", "2 min 10 s", "1 h 5 min".
std::string duration_text(double seconds);

}  // namespace kvproof::cli
