#include "harness/compare/verdict.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "harness/stats/stats.h"

namespace kvproof::compare {
namespace {

constexpr double kLeastMargin = 0.02, kAboveFloor = 1.5, kFloorQuantile = 0.95;
constexpr std::size_t kCarriesQuantile = 20;  // 1 / (1 − 0.95)

// NumPy's linear interpolation. stats.h's quantile() wants 130 values, so that no single stall decides about a latency;
// here a session that is off is what is looked for.
double floor_of(std::vector<double> sizes) {
  std::sort(sizes.begin(), sizes.end());
  if (sizes.size() < kCarriesQuantile) return sizes.back();
  const double position = kFloorQuantile * static_cast<double>(sizes.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  return std::lerp(sizes[below], sizes[std::min(below + 1, sizes.size() - 1)], position - static_cast<double>(below));
}

}  // namespace

std::string_view word(Verdict verdict) {
  switch (verdict) {
    case Verdict::regressed:
      return "REGRESSED";
    case Verdict::improved:
      return "IMPROVED";
    case Verdict::equivalent:
      return "EQUIVALENT";
    case Verdict::inconclusive:
      return "INCONCLUSIVE";
    case Verdict::identical:
      return "IDENTICAL";
    case Verdict::changed:
      return "CHANGED";
    case Verdict::incomparable:
      return "INCOMPARABLE";
  }
  throw std::logic_error("word: no such verdict");
}

double Margin::log() const { return std::log1p(share); }

Margin margin_of(std::span<const AaEffect> recorded, std::string_view fingerprint, std::string_view metric) {
  std::vector<double> sizes;
  for (const AaEffect& each : recorded) {
    if (each.fingerprint == fingerprint && each.metric == metric) sizes.push_back(std::abs(each.log_ratio));
  }
  Margin margin{kLeastMargin, std::nullopt, static_cast<int64_t>(sizes.size())};
  if (sizes.empty()) return margin;
  margin.noise_floor = floor_of(std::move(sizes));
  margin.share = std::max(kLeastMargin, kAboveFloor * *margin.noise_floor);
  return margin;
}

Verdict judge(const Effect& effect, const Margin& margin) {
  if (!effect.low || !effect.high) return Verdict::inconclusive;
  const double limit = margin.log();
  if (*effect.low > 0 && effect.log_ratio > limit) return Verdict::regressed;
  if (*effect.high < 0 && effect.log_ratio < -limit) return Verdict::improved;
  const bool sure_of_a_difference = *effect.low > 0 || *effect.high < 0;
  if (sure_of_a_difference && margin.share > kWideMargin) return Verdict::inconclusive;
  if (*effect.low > -limit && *effect.high < limit) return Verdict::equivalent;
  return Verdict::inconclusive;
}

}  // namespace kvproof::compare
