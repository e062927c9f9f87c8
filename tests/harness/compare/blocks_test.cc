#include "harness/compare/blocks.h"

#include <cmath>
#include <limits>
#include <stdexcept>

#include "tests/harness/compare/numbers.h"

using namespace kvproof;
using namespace kvproof::compare;
using kvproof::testing::as_scipy;
using kvproof::testing::Noise;
using kvproof::testing::scipy;

namespace {
void check_bound(const std::optional<double>& bound, const nlohmann::json& expected) {
  REQUIRE(bound.has_value() == !expected.is_null());
  if (bound) CHECK(*bound == as_scipy(expected));
}
}  // namespace

TEST_CASE("a block's effect is the median of its rounds", "[compare]") {
  const std::vector<std::vector<double>> y = {{0.125, 9.0, 0.375}, {-0.25, 0.75}, {0.5}};
  CHECK(block_effects(y) == std::vector{0.375, 0.25, 0.5});
}

TEST_CASE("effects of blocks are those that SciPy finds", "[compare]") {
  for (const auto& row : scipy("blocks")) {
    const auto d = block_effects(row["y"].get<std::vector<std::vector<double>>>());
    for (std::size_t b = 0; b < d.size(); ++b) CHECK(d[b] == as_scipy(row["d"][b]));
    const Effect effect = effect_of(d);
    CHECK(effect.log_ratio == as_scipy(row["m"]));
    CHECK(effect.ratio() == Approx(std::exp(row["m"].get<double>())).epsilon(1e-12));
    CHECK(effect.spread == as_scipy(row["s"]));
    check_bound(effect.low, row["low"]);
    check_bound(effect.high, row["high"]);
    CHECK(effect.p_slower == as_scipy(row["p_slower"]));
    CHECK(effect.p_faster == as_scipy(row["p_faster"]));
    CHECK(minimum_detectable(effect) == as_scipy(row["minimum_detectable"]));
  }
}

TEST_CASE("sign tests are SciPy's binomial tests", "[compare]") {
  for (const auto& row : scipy("sign_tests")) CHECK(sign_test_p(row["positive"], row["n"]) == as_scipy(row["p"]));
}

TEST_CASE("an interval lies above zero exactly where the sign test says so", "[compare]") {
  Noise noise(3);
  int above = 0;
  for (int session = 0; session < 2000; ++session) {
    const int n = 6 + session % 25;
    const Effect effect = effect_of(noise.blocks(n, 0.5, 1));
    CHECK((*effect.low > 0) == (effect.p_slower <= kOneSidedAlpha));
    CHECK((*effect.high < 0) == (effect.p_faster <= kOneSidedAlpha));
    above += *effect.low > 0;
  }
  CHECK(above > 300);  // both happen: seen 536
  CHECK(above < 1600);
}

TEST_CASE("a block at exactly zero speaks for neither side", "[compare]") {
  const Effect effect = effect_of(std::vector{0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0});
  CHECK(effect.p_slower == sign_test_p(6, 8));
  CHECK(effect.p_faster == 1);
  CHECK(*effect.low == 0);
}

TEST_CASE("cases are joined by the geometric mean, block by block", "[compare]") {
  const std::vector<std::vector<double>> effects = {{std::log(2.0), 0.0}, {std::log(8.0), std::log(9.0)}};
  const auto joined = joined_effects(effects);
  REQUIRE(joined.size() == 2);
  CHECK(std::exp(joined[0]) == Approx(4.0).epsilon(1e-14));
  CHECK(std::exp(joined[1]) == Approx(3.0).epsilon(1e-14));
  CHECK_THROWS_WITH(joined_effects(std::vector<std::vector<double>>{{1}, {1, 2}}),
                    "joined_effects: cases of 1 and of 2 blocks");
}

TEST_CASE("the chance of REGRESSED is what SciPy's binomials give", "[compare]") {
  for (const auto& row : scipy("chances")) {
    const double chance =
        chance_of_regressed(row["log_effect"], row["spread"], row["blocks"], row["margin"], row["tests"]);
    CHECK(chance == as_scipy(row["chance"]));
  }
  CHECK(chance_of_regressed(0.5, 0.01, 5, 0.02) == 0);  // five blocks make no interval
}

TEST_CASE("the effect an alarm begins from has a chance of four fifths, and is above the margin", "[compare]") {
  const double spread = GENERATE(0.0, 0.008, 0.03, 0.1);
  Effect effect;
  effect.spread = spread;
  effect.blocks = 12;
  const auto from = alarm_from(effect, 0.02);
  REQUIRE(from.has_value());
  CHECK(*from >= 0.02);
  CHECK(chance_of_regressed(std::log1p(*from) + 1e-9, spread, 12, 0.02) >= 0.8);
  CHECK(chance_of_regressed(std::log1p(*from) - 1e-9, spread, 12, 0.02) < 0.8);
  effect.blocks = 5;
  CHECK_FALSE(alarm_from(effect, 0.02).has_value());
}

TEST_CASE("as many blocks as are said to settle an effect settle it", "[compare]") {
  struct Row {
    double effect, spread;
    int64_t tests;
  };
  const auto row =
      GENERATE(Row{0.03, 0.06, 1}, Row{-0.03, 0.06, 1}, Row{0.03, 0.06, 20}, Row{0, 0.02, 1}, Row{0.005, 0.02, 1});
  CAPTURE(row.effect, row.tests);
  Effect effect;
  effect.log_ratio = row.effect;
  effect.spread = row.spread;
  effect.blocks = 12;
  const auto n = blocks_to_settle(effect, 0.02, row.tests);
  REQUIRE(n.has_value());
  Noise noise(5);
  const double limit = std::log(1.02);
  int settled = 0;
  for (int session = 0; session < 500; ++session) {
    const Effect seen = effect_of(noise.blocks(static_cast<int>(*n), row.effect, row.spread));
    const bool inside = *seen.low > -limit && *seen.high < limit;
    const bool slower = seen.p_slower <= kOneSidedAlpha / static_cast<double>(row.tests) && seen.log_ratio > limit;
    const bool faster = *seen.high < 0 && seen.log_ratio < -limit;
    settled += row.effect > limit ? slower : row.effect < -limit ? faster : inside;
  }
  CHECK(settled >= 375);  // 400 of 500 are said, on average; the least seen is 413
}

TEST_CASE("an effect on the margin is settled by no session", "[compare]") {
  Effect effect;
  effect.log_ratio = std::log(1.02);
  effect.spread = 0.05;
  effect.blocks = 12;
  CHECK_FALSE(blocks_to_settle(effect, 0.02).has_value());
  effect.log_ratio = 0.5;  // five blocks of an effect nobody could overlook
  effect.blocks = 3;
  CHECK(blocks_to_settle(effect, 0.02) == 6);
}

TEST_CASE("many tests need more blocks", "[compare]") {
  for (const auto& row : scipy("least_blocks")) CHECK(least_blocks(row["tests"]) == row["blocks"].get<int64_t>());
  CHECK(least_blocks(102) == 12);
  CHECK(least_blocks(103) == 13);
}

TEST_CASE("what is no sample is refused", "[compare]") {
  using Blocks = std::vector<std::vector<double>>;
  CHECK_THROWS_WITH(block_effects(Blocks{{1}, {}}), "block_effects: block 1 has no rounds");
  CHECK_THROWS_WITH(block_effects(Blocks{{1, std::numeric_limits<double>::infinity()}}),
                    "block_effects: value 1 is not finite");
  CHECK_THROWS_WITH(effect_of({}), "effect_of: no block");
  CHECK_THROWS_AS(effect_of(std::vector{std::nan("")}), std::invalid_argument);
  CHECK_THROWS_AS(sign_test_p(3, 2), std::invalid_argument);
  CHECK_THROWS_AS(joined_effects({}), std::invalid_argument);
  CHECK_THROWS_AS(least_blocks(0), std::invalid_argument);
}
