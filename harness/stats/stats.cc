#include "harness/stats/stats.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

namespace kvproof {
namespace {

std::vector<double> sorted(std::span<const double> values) {
  std::vector<double> result(values.begin(), values.end());
  std::sort(result.begin(), result.end());
  return result;
}

// Between the order statistics around position q * (n - 1).
double interpolate(const std::vector<double>& ascending, double q) {
  const double position = q * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, ascending.size() - 1);
  return ascending[below] + (position - static_cast<double>(below)) * (ascending[above] - ascending[below]);
}

}  // namespace

std::optional<double> median(std::span<const double> values) {
  if (values.empty()) return std::nullopt;
  return interpolate(sorted(values), 0.5);
}

std::optional<Summary> summarize(std::span<const double> values) {
  if (values.empty()) return std::nullopt;
  const std::vector<double> ascending = sorted(values);
  return Summary{interpolate(ascending, 0.5), ascending.front(), ascending.back(), static_cast<int64_t>(values.size())};
}

int64_t minimum_sample(double q) {
  if (!(q > 0 && q < 1))
    throw std::invalid_argument("minimum_sample: q must lie between 0 and 1, got " + std::to_string(q));
  // P(Bin(n, 1 - q) <= 1) = q^n + n (1 - q) q^(n-1) falls with n.
  int64_t n = 1;
  for (double power = 1; power * (q + static_cast<double>(n) * (1 - q)) > 0.01; ++n) power *= q;  // power = q^(n-1)
  return n;
}

std::optional<double> quantile(std::span<const double> values, double q) {
  if (static_cast<int64_t>(values.size()) < minimum_sample(q)) return std::nullopt;
  return interpolate(sorted(values), q);
}

std::optional<int64_t> median_interval_rank(int64_t n, double confidence) {
  if (!(confidence > 0 && confidence < 1)) {
    throw std::invalid_argument("median_interval_rank: confidence must lie between 0 and 1, got " +
                                std::to_string(confidence));
  }
  const double tail = (1 - confidence) / 2;
  // Terms in logarithms: (1/2)^n alone would vanish from n = 1075 on.
  double cumulative = 0;  // P(Bin(n, 1/2) <= k - 1)
  int64_t k = 0;
  for (; k < n; ++k) {
    const auto heads = static_cast<double>(k), tosses = static_cast<double>(n);
    cumulative += std::exp(std::lgamma(tosses + 1) - std::lgamma(heads + 1) - std::lgamma(tosses - heads + 1) -
                           tosses * std::log(2.0));
    if (cumulative > tail) break;
  }
  if (k == 0) return std::nullopt;
  return k;
}

std::optional<std::pair<double, double>> median_interval(std::span<const double> values, double confidence) {
  const auto k = median_interval_rank(static_cast<int64_t>(values.size()), confidence);
  if (!k) return std::nullopt;
  const std::vector<double> ascending = sorted(values);
  const auto rank = static_cast<std::size_t>(*k);
  return std::pair{ascending[rank - 1], ascending[ascending.size() - rank]};
}

std::optional<Interval> paired_ratio(std::span<const double> above, std::span<const double> below, double confidence) {
  if (above.size() != below.size()) {
    throw std::invalid_argument("paired_ratio: " + std::to_string(above.size()) + " values above, " +
                                std::to_string(below.size()) + " below");
  }
  std::vector<double> logs;
  for (std::size_t i = 0; i < above.size(); ++i) {
    for (const double value : {above[i], below[i]}) {
      if (!(value > 0) || !std::isfinite(value)) {
        throw std::invalid_argument("paired_ratio: pair " + std::to_string(i) + " holds " + std::to_string(value));
      }
    }
    logs.push_back(std::log(above[i] / below[i]));
  }
  const auto middle = median(logs);
  if (!middle) return std::nullopt;
  Interval result{std::exp(*middle), {}, {}, confidence, static_cast<int64_t>(logs.size())};
  if (const auto interval = median_interval(logs, confidence)) {
    result.low = std::exp(interval->first);
    result.high = std::exp(interval->second);
  }
  return result;
}

std::optional<Line> robust_line(std::span<const double> x, std::span<const double> y) {
  if (x.size() != y.size()) {
    throw std::invalid_argument("robust_line: " + std::to_string(x.size()) + " x for " + std::to_string(y.size()) + " y");
  }
  constexpr std::size_t kMost = 1024;
  const std::size_t n = std::min(x.size(), kMost);
  const auto point = [&](std::size_t i) { return i * x.size() / n; };
  std::vector<double> slopes, rests;
  slopes.reserve(n * (n - std::min<std::size_t>(n, 1)) / 2);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i + 1; j < n; ++j) {
      const double dx = x[point(j)] - x[point(i)];
      if (dx != 0) slopes.push_back((y[point(j)] - y[point(i)]) / dx);
    }
  }
  if (slopes.empty()) return std::nullopt;
  Line line{*median(slopes), 0};
  for (std::size_t i = 0; i < n; ++i) rests.push_back(y[point(i)] - line.slope * x[point(i)]);
  line.intercept = *median(rests);
  return line;
}

}  // namespace kvproof
