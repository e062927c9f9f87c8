#include "harness/cli/sampler_flags.h"

#include <fmt/format.h>

namespace kvproof::cli {

void add_sampler_flags(CLI::App& app, const SamplerSettings& defaults) {
  const auto top_k = defaults.top_k ? fmt::format("{}", *defaults.top_k) : "0";
  add_value(app, "--temperature", "X",
            fmt::format("0 takes the likeliest token, more varies; default {}", defaults.temperature));
  add_value(app, "--top-k", "K", fmt::format("Only the K likeliest tokens; 0 is all of them; default {}", top_k));
  add_value(app, "--seed", "N", fmt::format("Default {}", defaults.seed));
  add_value(app, "--sampler", "MODE",
            "per_row (default): rows never depend on each other; nanochat: draws as nanochat does");
}

SamplerSettings read_sampler_flags(const Arguments& arguments, const SamplerSettings& defaults) {
  SamplerSettings settings = defaults;
  settings.temperature = arguments.number("--temperature", 0).value_or(defaults.temperature);
  if (const auto top_k = arguments.integer("--top-k", 0, std::numeric_limits<int32_t>::max())) settings.top_k = top_k;
  settings.seed = arguments.unsigned_integer("--seed").value_or(defaults.seed);
  settings.mode =
      arguments.word("--sampler", {"per_row", "nanochat"}) == "nanochat" ? SamplerMode::nanochat : SamplerMode::per_row;
  return settings;
}

}  // namespace kvproof::cli
