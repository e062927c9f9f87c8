#include "harness/analysis/crossover.h"

#include <algorithm>
#include <cmath>

namespace kvproof {
namespace {

std::optional<Growth> growth_of(const StepCurve& curve) {
  const auto line = line_through(curve);
  if (!line) return std::nullopt;
  StepCurve logs;
  for (std::size_t i = 0; i < curve.size(); ++i) {
    if (curve.depth[i] <= 0 || curve.ns[i] <= 0) continue;
    logs.depth.push_back(std::log(curve.depth[i]));
    logs.ns.push_back(std::log(curve.ns[i]));
  }
  const auto power = line_through(logs);
  return Growth{*line, power ? std::optional(power->slope) : std::nullopt};
}

double first_token_ns(const View& one_case, const char* path) {
  std::vector<double> times;
  for (const View& sample : one_case.at("paths").at(path).at("samples").items())
    times.push_back(sample.at("ttft_ns").number());
  return median(times).value_or(0);
}

/// The first token from which on the engine's sum stays below naive's.
std::optional<int64_t> break_even_of(const View& one_case, const StepCurve& naive, const StepCurve& engine) {
  double behind = first_token_ns(one_case, "engine") - first_token_ns(one_case, "naive");  // ns, > 0: the engine is
  const std::size_t steps = std::min(naive.size(), engine.size());
  std::optional<int64_t> since = behind < 0 ? std::optional<int64_t>(1) : std::nullopt;
  for (std::size_t i = 0; i < steps; ++i) {
    behind += engine.ns[i] - naive.ns[i];
    if (behind >= 0) {
      since.reset();
    } else if (!since) {
      since = static_cast<int64_t>(i) + 2;
    }
  }
  return since;
}

std::optional<double> of_ceiling(const View& one_case) {
  const View ratio = one_case.at("speedup").at("e2e");
  const auto ceiling = one_case.at("work").at("ceiling").number_or_null();
  if (ratio.is_null() || !ceiling || *ceiling <= 0) return std::nullopt;
  return ratio.at("ratio").number() / *ceiling;
}

}  // namespace

Crossover crossover(const View& one_case) {
  const StepCurve naive = step_curve(one_case, "naive"), engine = step_curve(one_case, "engine");
  return {growth_of(naive), growth_of(engine), break_even_of(one_case, naive, engine), of_ceiling(one_case)};
}

}  // namespace kvproof
