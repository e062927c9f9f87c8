#include "harness/compare/history.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <stdexcept>
#include <string>

namespace kvproof::compare {
namespace {

constexpr std::size_t kLeast = kLeastPoints;
constexpr double kFirstLook = 0.05;  // p of a cut that may be kept: among three levels each hides the others
constexpr double kSameMean = 1e-12;  // of logarithms: rounding, not time

std::vector<double> logarithms(std::span<const double> values, const char* function) {
  std::vector<double> logs;
  for (const double value : values) {
    if (!(value > 0) || !std::isfinite(value)) {
      throw std::invalid_argument(std::string(function) + ": point " + std::to_string(logs.size()) + " is " +
                                  std::to_string(value) + ", expected a positive number");
    }
    logs.push_back(std::log(value));
  }
  return logs;
}

double mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double squares_around(std::span<const double> values, double center) {
  double sum = 0;
  for (const double value : values) sum += (value - center) * (value - center);
  return sum;
}

double distances(std::span<const double> values, double from) {
  double sum = 0;
  for (const double value : values) sum += std::abs(value - from);
  return sum;
}

// Points of one level, as far as is known: [begin, end).
struct Stretch {
  std::size_t begin = 0, end = 0;
  std::size_t cut = 0;  // where it was cut off what came before: begin, or one or two points earlier

  std::span<const double> of(std::span<const double> logs) const { return logs.subspan(begin, end - begin); }
};

// Cuts a stretch in two wherever a t-test at max_p does not rule it out, and both parts likewise, in their order.
void cut(std::span<const double> logs, Stretch stretch, double max_p, std::vector<Stretch>& stretches) {
  const auto values = stretch.of(logs);
  const auto p_at = [&](std::size_t at) { return t_test_p(values.first(at), values.subspan(at)); };
  // One or two points at an end that stand out are no level yet, and would make any that they are counted into look new.
  const auto any = values.size() < 2 * kLeast ? std::nullopt : energy_split(values, 1);
  if (any && p_at(any->at) <= max_p) {
    const bool at_front = any->at < kLeast, at_back = values.size() - any->at < kLeast;
    if (at_front) stretch.begin += any->at;
    if (at_back) stretch.end = stretch.begin + any->at;
    if (at_front || at_back) return cut(logs, stretch, max_p, stretches);
  }
  const auto best = energy_split(values);
  if (!best || p_at(best->at) > max_p) {
    stretches.push_back(stretch);
    return;
  }
  const std::size_t at = stretch.begin + best->at;
  cut(logs, {stretch.begin, at, stretch.cut}, max_p, stretches);
  cut(logs, {at, stretch.end, at}, max_p, stretches);
}

ChangePoint change_between(std::span<const double> logs, const Stretch& a, const Stretch& b) {
  const auto before = a.of(logs), after = b.of(logs);
  return {b.cut, std::exp(mean(before)), std::exp(mean(after)), t_test_p(before, after)};
}

}  // namespace

std::optional<Split> energy_split(std::span<const double> values, int64_t least) {
  const std::size_t n = values.size(), fewest = static_cast<std::size_t>(std::max<int64_t>(least, 1));
  if (n < 2 * fewest || n < 3) return std::nullopt;
  // Sums of |difference| within the points before, within those behind, and between the two, as one point after another
  // moves to the front.
  double before = 0, behind = 0, between = 0;
  for (std::size_t i = 0; i < n; ++i) behind += distances(values.subspan(i + 1), values[i]);
  const auto mean_of_pairs = [](double sum, double size) { return size < 2 ? 0.0 : sum / (size * (size - 1) / 2); };
  std::optional<Split> best;
  for (std::size_t at = 1; at + fewest <= n; ++at) {
    const double to_front = distances(values.first(at - 1), values[at - 1]);
    const double to_back = distances(values.subspan(at), values[at - 1]);
    before += to_front;
    behind -= to_back;
    between += to_back - to_front;
    if (at < fewest) continue;
    const auto x = static_cast<double>(at), y = static_cast<double>(n - at);
    const double energy =
        x * y / (x + y) * (2 * between / (x * y) - mean_of_pairs(before, x) - mean_of_pairs(behind, y));
    if (!best || energy > best->energy) best = Split{at, energy};
  }
  return best;
}

double t_test_p(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || b.empty() || a.size() + b.size() < 3) {
    throw std::invalid_argument("t_test_p: samples of " + std::to_string(a.size()) + " and " +
                                std::to_string(b.size()) + " values have no variance");
  }
  const double difference = mean(a) - mean(b);
  if (std::abs(difference) < kSameMean) return 1;
  const auto n = static_cast<double>(a.size()), m = static_cast<double>(b.size());
  const double variance = (squares_around(a, mean(a)) + squares_around(b, mean(b))) / (n + m - 2);
  const double error = std::sqrt(variance * (1 / n + 1 / m));
  if (error == 0) return 0;
  const boost::math::students_t_distribution<double> t(n + m - 2);
  return 2 * cdf(complement(t, std::abs(difference) / error));
}

std::vector<ChangePoint> change_points(std::span<const double> values, double max_p) {
  const std::vector<double> logs = logarithms(values, "change_points");
  std::vector<Stretch> stretches;
  cut(logs, {0, logs.size(), 0}, std::max(kFirstLook, max_p), stretches);
  for (;;) {
    std::vector<ChangePoint> points;
    for (std::size_t i = 1; i < stretches.size(); ++i)
      points.push_back(change_between(logs, stretches[i - 1], stretches[i]));
    const auto weakest =
        std::max_element(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.p < b.p; });
    if (weakest == points.end() || weakest->p <= max_p) return points;
    const auto joined = stretches.begin() + (weakest - points.begin());
    joined->end = (joined + 1)->end;
    stretches.erase(joined + 1);
  }
}

std::optional<Creep> creep(std::span<const double> release, std::span<const double> latest, double margin,
                           double max_p) {
  const std::vector<double> then = logarithms(release, "creep"), now = logarithms(latest, "creep");
  if (std::min(then.size(), now.size()) < kLeast) return std::nullopt;
  Creep result{std::exp(mean(now) - mean(then)), t_test_p(then, now), false};
  result.slower = result.p <= max_p && result.ratio > 1 + margin;
  return result;
}

}  // namespace kvproof::compare
