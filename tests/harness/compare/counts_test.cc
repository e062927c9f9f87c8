#include "harness/compare/counts.h"

#include <cmath>
#include <stdexcept>

#include "tests/harness/compare/numbers.h"

using namespace kvproof;
using namespace kvproof::compare;
using kvproof::testing::as_scipy;
using kvproof::testing::Noise;
using kvproof::testing::scipy;

TEST_CASE("intervals of counts are SciPy's exact ones", "[compare]") {
  for (const auto& row : scipy("counts")) {
    const Count count{row["count"], row["of"]};
    CAPTURE(count.count, count.of);
    const auto [low, high] = between(count);
    CHECK(low == as_scipy(row["low"]));
    CHECK(high == as_scipy(row["high"]));
    CHECK(at_most(count) == as_scipy(row["at_most"]));
    CHECK(at_least(count) == as_scipy(row["at_least"]));
  }
}

TEST_CASE("no alarm in 60 sessions shows that fewer than 4.9 % alarm", "[compare]") {
  CHECK(at_most({0, 60}) == Approx(1 - std::pow(0.05, 1.0 / 60)).epsilon(1e-12));
  CHECK(at_most({0, 60}) < 0.049);
  CHECK(at_least({57, 60}) > 0.875);
}

TEST_CASE("counts that are none are refused", "[compare]") {
  CHECK_THROWS_WITH(at_most({1, 0}), "a count of 1 of 0");
  CHECK_THROWS_AS(at_least({-1, 3}), std::invalid_argument);
  CHECK_THROWS_AS(between({4, 3}), std::invalid_argument);
  CHECK_THROWS_AS(between({1, 3}, 1.0), std::invalid_argument);
}

TEST_CASE("a power curve plants slow-downs into recorded noise", "[compare]") {
  Noise noise(41);
  std::vector<std::vector<double>> sessions;
  for (int session = 0; session < 60; ++session) sessions.push_back(noise.blocks(12, 0.004 * noise.normal(), 0.01));
  const auto curve = power_curve(sessions, std::vector{0.0, 0.01, 0.05, -0.05}, Margin());
  REQUIRE(curve.size() == 4);
  CHECK(curve[0].regressed.count == 0);
  CHECK(curve[0].equivalent.count >= 57);  // 1 % of noise is little beside 2 %
  CHECK(curve[1].regressed.count == 0);
  CHECK(curve[2].regressed.count == 60);
  CHECK(curve[2].slow_down == 0.05);
  CHECK(curve[3].regressed.count + curve[3].equivalent.count + curve[3].inconclusive.count == 0);  // IMPROVED
  CHECK(curve[3].regressed.of == 60);
}
