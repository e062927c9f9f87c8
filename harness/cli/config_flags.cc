#include "harness/cli/config_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace kvproof::cli {

void add_config_flags(CLI::App& app) {
  add_positional(app, "CONFIG", "The YAML file; kvproof init writes one to start from");
  add_list(app, "--set", "A.B=VALUE", "Overrides one value of the config, such as sampler.max_tokens=16");
}

LoadedConfig read_config_flags(const Arguments& arguments) {
  return load_config(arguments.required("CONFIG", "the YAML file of what to run"), arguments.texts("--set"));
}

std::string duration_text(double seconds) {
  constexpr int64_t kMinute = 60, kHour = 3600;
  const auto whole = static_cast<int64_t>(std::llround(std::max(0.0, seconds)));
  if (whole >= kHour) return fmt::format("{} h {} min", whole / kHour, whole % kHour / kMinute);
  if (whole >= kMinute) return fmt::format("{} min {} s", whole / kMinute, whole % kMinute);
  return fmt::format("{} s", whole);
}

}  // namespace kvproof::cli
