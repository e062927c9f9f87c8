#include "harness/analysis/crossover.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace kvproof {
namespace {

constexpr std::size_t kFewestSteps = 32;

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

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json figures_of_path(const std::optional<Growth>& growth, bool curve) {
  if (!growth || !curve)
    return {{"step_ns_at_zero", nullptr}, {"step_ns_per_token", nullptr}, {"growth_exponent", nullptr}};
  return {{"step_ns_at_zero", growth->line.intercept},
          {"step_ns_per_token", growth->line.slope},
          {"growth_exponent", or_null(growth->exponent)}};
}

}  // namespace

bool Crossover::has_curve() const { return std::min(naive_steps.size(), engine_steps.size()) >= kFewestSteps; }

Crossover crossover(const View& one_case) {
  StepCurve naive = step_curve(one_case, "naive"), engine = step_curve(one_case, "engine");
  const auto break_even = break_even_of(one_case, naive, engine);
  const auto naive_growth = growth_of(naive), engine_growth = growth_of(engine);
  const bool withheld = !one_case.at("speedup").at("withheld").is_null();
  return {std::move(naive), std::move(engine), naive_growth, engine_growth, break_even, of_ceiling(one_case), withheld};
}

Json figures_of(const Crossover& crossover) {
  const bool curve = crossover.has_curve();
  return {{"naive", figures_of_path(crossover.naive, curve)},
          {"engine", figures_of_path(crossover.engine, curve)},
          {"break_even_tokens", crossover.withheld ? Json(nullptr) : or_null(crossover.break_even)},
          {"of_ceiling", or_null(crossover.of_ceiling)}};
}

}  // namespace kvproof
