#include "harness/compare/counts.h"

#include <boost/math/distributions/binomial.hpp>
#include <cmath>
#include <stdexcept>
#include <string>

namespace kvproof::compare {
namespace {

using Binomial = boost::math::binomial_distribution<double>;  // its bounds on p are those of Clopper and Pearson

void check(Count count, double confidence) {
  if (count.of < 1 || count.count < 0 || count.count > count.of)
    throw std::invalid_argument("a count of " + std::to_string(count.count) + " of " + std::to_string(count.of));
  if (!(confidence > 0 && confidence < 1))
    throw std::invalid_argument("a count's confidence must lie between 0 and 1, got " + std::to_string(confidence));
}

}  // namespace

double at_most(Count count, double confidence) {
  check(count, confidence);
  return Binomial::find_upper_bound_on_p(static_cast<double>(count.of), static_cast<double>(count.count),
                                         1 - confidence);
}

double at_least(Count count, double confidence) {
  check(count, confidence);
  return Binomial::find_lower_bound_on_p(static_cast<double>(count.of), static_cast<double>(count.count),
                                         1 - confidence);
}

std::pair<double, double> between(Count count, double confidence) {
  const double one_sided = (1 + confidence) / 2;
  return {at_least(count, one_sided), at_most(count, one_sided)};
}

std::vector<PowerPoint> power_curve(std::span<const std::vector<double>> sessions, std::span<const double> slow_downs,
                                    const Margin& margin) {
  std::vector<PowerPoint> curve;
  const auto all = static_cast<int64_t>(sessions.size());
  for (const double slow_down : slow_downs) {
    PowerPoint point{slow_down, {0, all}, {0, all}, {0, all}};
    for (std::vector<double> d : sessions) {
      for (double& block : d) block += std::log1p(slow_down);
      const Verdict verdict = judge(effect_of(d), margin);
      point.regressed.count += verdict == Verdict::regressed;
      point.equivalent.count += verdict == Verdict::equivalent;
      point.inconclusive.count += verdict == Verdict::inconclusive;
    }
    curve.push_back(point);
  }
  return curve;
}

}  // namespace kvproof::compare
