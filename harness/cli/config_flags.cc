#include "harness/cli/config_flags.h"

#include <fmt/format.h>

#include <charconv>

#include "harness/duration.h"
#include "harness/measure/shard.h"

namespace kvproof::cli {
namespace {

/// Absent: not all of it is a number.
std::optional<int64_t> whole_number(const std::string& text) {
  int64_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

void add_config_flags(CLI::App& app) {
  add_positional(app, "CONFIG", "The YAML file; kvproof init writes one to start from");
  add_list(app, "--set", "A.B=VALUE", "Overrides one value of the config, such as sampler.max_tokens=16");
}

LoadedConfig read_config_flags(const Arguments& arguments) {
  return load_config(arguments.required("CONFIG", "the YAML file of what to run"), arguments.texts("--set"));
}

void add_max_time(CLI::App& app) {
  add_value(app, "--max-time", "TIME",
            "Where repetitions are auto, take as many as are estimated to fit: 90s, 5min, 1h, 300 (seconds)");
}

std::optional<double> read_max_time(const Arguments& arguments) {
  const auto text = arguments.text("--max-time");
  if (!text) return std::nullopt;
  return parse_duration(*text, "--max-time");
}

void add_shard(CLI::App& app) {
  add_value(app, "--shard", "K/N", "Only the K-th of N parts of the cases, which cost about the same; kvproof merge joins them");
}

std::optional<ShardNumber> read_shard(const Arguments& arguments) {
  const auto text = arguments.text("--shard");
  if (!text) return std::nullopt;
  const auto slash = std::min(text->find('/'), text->size());
  const auto index = whole_number(text->substr(0, slash)),
             count = whole_number(text->substr(std::min(slash + 1, text->size())));
  if (!index || !count || *count < 1 || *count > kMostShards || *index < 1 || *index > *count) {
    throw ArgumentError("--shard", fmt::format("must be K/N, K from 1 to N and N from 1 to {}, such as 2/4 for the second of "
                                               "four; got \"{}\"",
                                               kMostShards, *text));
  }
  return ShardNumber{*index, *count};
}

}  // namespace kvproof::cli
