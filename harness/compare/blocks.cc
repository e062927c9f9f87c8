#include "harness/compare/blocks.h"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <stdexcept>
#include <string>

#include "harness/stats/stats.h"

namespace kvproof::compare {
namespace {

constexpr double kSure = 1.96;        // a normal deviate leaves 2.5 % above
constexpr double kFourOfFive = 0.84;  // and 20 % above this
constexpr double kMedian = 1.2533;    // √(π/2): the standard error of a normal sample's median over that of its mean
constexpr double kChance = 0.8;
constexpr int64_t kMostBlocks = 1000;

void check_finite(std::span<const double> values, const char* function) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]))
      throw std::invalid_argument(std::string(function) + ": value " + std::to_string(i) + " is not finite");
  }
}

double standard_deviation(std::span<const double> d) {
  if (d.size() < 2) return 0;
  double mean = 0, squares = 0;
  for (const double value : d) mean += value / static_cast<double>(d.size());
  for (const double value : d) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(d.size() - 1));
}

// P(Bin(n, p) <= k).
double binomial(int64_t n, double p, int64_t k) {
  if (k < 0) return 0;
  return cdf(boost::math::binomial_distribution<double>(static_cast<double>(n), p), static_cast<double>(k));
}

// How likely a normal block of this standard deviation falls `distance` below its median, or further.
double share_beyond(double distance, double spread) {
  constexpr double kLeastSpread = 1e-12;  // of times that are all the same: less than any clock shows
  return cdf(complement(boost::math::normal_distribution<double>(), distance / std::max(spread, kLeastSpread)));
}

// At least how likely the interval of rank k lies within ±limit, of normal blocks around `median` that is within.
double chance_of_equivalent(double median, double spread, int64_t blocks, double limit, int64_t k) {
  return binomial(blocks, share_beyond(limit - median, spread), k - 1) +
         binomial(blocks, share_beyond(limit + median, spread), k - 1) - 1;
}

}  // namespace

std::vector<double> block_effects(std::span<const std::vector<double>> y) {
  std::vector<double> d;
  for (const auto& rounds : y) {
    check_finite(rounds, "block_effects");
    const auto middle = median(rounds);
    if (!middle) throw std::invalid_argument("block_effects: block " + std::to_string(d.size()) + " has no rounds");
    d.push_back(*middle);
  }
  return d;
}

std::vector<double> joined_effects(std::span<const std::vector<double>> effects) {
  if (effects.empty()) throw std::invalid_argument("joined_effects: no case");
  std::vector<double> mean(effects.front().size(), 0.0);
  for (const auto& d : effects) {
    if (d.size() != mean.size()) {
      throw std::invalid_argument("joined_effects: cases of " + std::to_string(mean.size()) + " and of " +
                                  std::to_string(d.size()) + " blocks");
    }
    for (std::size_t b = 0; b < d.size(); ++b) mean[b] += d[b] / static_cast<double>(effects.size());
  }
  return mean;
}

double sign_test_p(int64_t positive, int64_t n) {
  if (n < 0 || positive < 0 || positive > n)
    throw std::invalid_argument("sign_test_p: " + std::to_string(positive) + " of " + std::to_string(n));
  if (positive == 0) return 1;
  const boost::math::binomial_distribution<double> tosses(static_cast<double>(n), 0.5);
  return cdf(complement(tosses, static_cast<double>(positive - 1)));
}

double Effect::ratio() const { return std::exp(log_ratio); }

Effect effect_of(std::span<const double> d) {
  if (d.empty()) throw std::invalid_argument("effect_of: no block");
  check_finite(d, "effect_of");
  Effect effect;
  effect.log_ratio = *median(d);
  if (const auto interval = median_interval(d, 1 - kAlpha)) std::tie(effect.low, effect.high) = *interval;
  effect.spread = standard_deviation(d);
  effect.blocks = static_cast<int64_t>(d.size());
  effect.p_slower = sign_test_p(std::count_if(d.begin(), d.end(), [](double x) { return x > 0; }), effect.blocks);
  effect.p_faster = sign_test_p(std::count_if(d.begin(), d.end(), [](double x) { return x < 0; }), effect.blocks);
  return effect;
}

double minimum_detectable(const Effect& effect) {
  return std::expm1((kSure + kFourOfFive) * kMedian * effect.spread / std::sqrt(static_cast<double>(effect.blocks)));
}

double chance_of_regressed(double log_effect, double spread, int64_t blocks, double margin, int64_t tests) {
  const auto k = median_interval_rank(blocks, 1 - kAlpha / static_cast<double>(tests));
  if (!k) return 0;
  const double above_zero = binomial(blocks, share_beyond(log_effect, spread), *k - 1);
  const double above_margin = binomial(blocks, share_beyond(log_effect - std::log1p(margin), spread), (blocks - 1) / 2);
  return std::max(0.0, above_zero + above_margin - 1);
}

std::optional<double> alarm_from(const Effect& effect, double margin, int64_t tests) {
  const auto found = [&](double log_effect) {
    return chance_of_regressed(log_effect, effect.spread, effect.blocks, margin, tests) >= kChance;
  };
  double below = 0, above = std::log(10.0);
  if (!found(above)) return std::nullopt;
  for (int halving = 0; halving < 50; ++halving) {
    const double middle = (below + above) / 2;
    (found(middle) ? above : below) = middle;
  }
  return std::expm1(above);
}

std::optional<int64_t> blocks_to_settle(const Effect& effect, double margin, int64_t tests) {
  const double size = std::abs(effect.log_ratio), limit = std::log1p(margin);
  const auto chance = [&](int64_t n) {
    if (size > limit) return chance_of_regressed(size, effect.spread, n, margin, tests);
    const auto k = median_interval_rank(n, 1 - kAlpha);
    return k ? chance_of_equivalent(size, effect.spread, n, limit, *k) : 0.0;
  };
  if (effect.blocks >= kMostBlocks || chance(kMostBlocks) < kChance) return std::nullopt;
  int64_t too_few = effect.blocks, enough = kMostBlocks;
  while (enough - too_few > 1) {
    const int64_t middle = (too_few + enough) / 2;
    (chance(middle) >= kChance ? enough : too_few) = middle;
  }
  return enough;
}

int64_t least_blocks(int64_t tests) {
  if (tests < 1) throw std::invalid_argument("least_blocks: expected one test or more, got " + std::to_string(tests));
  int64_t n = 1;
  while (std::exp2(-static_cast<double>(n)) > kOneSidedAlpha / static_cast<double>(tests)) ++n;
  return n;
}

}  // namespace kvproof::compare
