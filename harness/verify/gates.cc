#include "harness/verify/gates.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kvproof {

double dtype_epsilon(const std::string& dtype) {
  if (dtype == "float64") return std::numeric_limits<double>::epsilon();
  if (dtype == "bfloat16") return 0x1p-7;
  if (dtype == "float16") return 0x1p-10;
  return std::numeric_limits<float>::epsilon();
}

bool is_half(const std::string& dtype) { return dtype == "bfloat16" || dtype == "float16"; }

double max_distance(std::span<const double> a, std::span<const double> b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;
    const double distance = std::abs(a[i] - b[i]);
    if (std::isnan(distance)) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, distance);
  }
  return worst;
}

double max_magnitude(std::span<const double> values) {
  double worst = 0;
  for (const double value : values) worst = std::max(worst, std::abs(value));  // a NaN does not compare
  return worst;
}

double Gate::denominator(double naive_error, double max_reference) const {
  // The last bound only keeps the ratio a number where everything is zero.
  return std::max({naive_error, (is_half(dtype) ? 1 : 8) * dtype_epsilon(dtype) * max_reference, 1e-30});
}

double Gate::allowed(double naive_error, double max_reference) const {
  if (exact()) return kFloat64Gate * std::max(1.0, max_reference);
  if (!std::isfinite(naive_error)) return 0;  // a path that is not finite excuses nothing
  return factor * denominator(naive_error, max_reference);
}

}  // namespace kvproof
