// What run and plan have in common: a config, its overrides, and how long it may take.
#pragma once

#include <cstdint>
#include <optional>

#include "harness/cli/command.h"
#include "harness/config/config.h"

namespace kvproof::cli {

inline constexpr const char* kRunFolder = "results/runs";  // below the current folder

/// Declares CONFIG and --set.
void add_config_flags(CLI::App& app);
/// throws ArgumentError, ConfigError
LoadedConfig read_config_flags(const Arguments& arguments);

/// Declares --max-time.
void add_max_time(CLI::App& app);
/// Seconds; absent: not given. throws ArgumentError
std::optional<double> read_max_time(const Arguments& arguments);

/// What --shard says.
struct ShardNumber {
  int64_t index = 1, count = 1;
};

/// Declares --shard.
void add_shard(CLI::App& app);
/// Absent: not given. throws ArgumentError
std::optional<ShardNumber> read_shard(const Arguments& arguments);

}  // namespace kvproof::cli
