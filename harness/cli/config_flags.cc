#include "harness/cli/config_flags.h"

#include "harness/duration.h"

namespace kvproof::cli {

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

}  // namespace kvproof::cli
