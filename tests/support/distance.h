// Comparing rows of numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/support/catch.h"

namespace kvproof::testing {

/// The largest distance between two equally long rows; NaN counts as infinitely far.
inline double max_abs(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double distance = std::abs(a[i] - b[i]);
    worst = std::max(worst, std::isnan(distance) ? HUGE_VAL : distance);
  }
  return worst;
}

}  // namespace kvproof::testing
