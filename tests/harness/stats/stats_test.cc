#include "harness/stats/stats.h"

#include <cmath>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "tests/support/catch.h"

using namespace kvproof;

namespace {
std::vector<double> one_to(int n) {
  std::vector<double> values(static_cast<std::size_t>(n));
  std::iota(values.rbegin(), values.rend(), 1.0);  // descending: nothing may rely on the order
  return values;
}
}  // namespace

TEST_CASE("the median is the middle value, or the mean of two", "[stats]") {
  CHECK_FALSE(median({}).has_value());
  CHECK(*median(std::vector{7.0}) == 7.0);
  CHECK(*median(std::vector{9.0, 1.0, 4.0}) == 4.0);
  CHECK(*median(std::vector{9.0, 1.0, 4.0, 5.0}) == 4.5);
}

TEST_CASE("a summary holds the median, both ends and the count", "[stats]") {
  CHECK_FALSE(summarize({}).has_value());
  const auto summary = summarize(std::vector{3.0, -1.0, 10.0, 4.0});
  REQUIRE(summary.has_value());
  CHECK(summary->median == 3.5);
  CHECK(summary->min == -1.0);
  CHECK(summary->max == 10.0);
  CHECK(summary->n == 4);
}

TEST_CASE("a quantile is refused below the sample that carries it", "[stats]") {
  struct Row {
    double q;
    int64_t minimum;
  };
  const auto row = GENERATE(Row{0.5, 11}, Row{0.9, 64}, Row{0.95, 130}, Row{0.99, 662});
  CAPTURE(row.q);
  CHECK(minimum_sample(row.q) == row.minimum);
  CHECK_FALSE(quantile(one_to(static_cast<int>(row.minimum) - 1), row.q).has_value());
  CHECK(quantile(one_to(static_cast<int>(row.minimum)), row.q).has_value());
}

TEST_CASE("quantiles interpolate as NumPy's default does", "[stats]") {
  // numpy.quantile(range(1, 12), .5), (range(1, 65), .9), (range(1, 131), .95)
  CHECK(*quantile(one_to(11), 0.5) == 6.0);
  CHECK(*quantile(one_to(64), 0.9) == Approx(57.7).epsilon(1e-14));
  CHECK(*quantile(one_to(130), 0.95) == Approx(123.55).epsilon(1e-14));
}

TEST_CASE("a quantile of nothing or of everything is a mistake of the caller", "[stats]") {
  CHECK_THROWS_AS(minimum_sample(0.0), std::invalid_argument);
  CHECK_THROWS_AS(minimum_sample(1.0), std::invalid_argument);
  CHECK_THROWS_AS(quantile(one_to(5), std::nan("")), std::invalid_argument);
}

TEST_CASE("the interval's rank is that of the exact sign test", "[stats]") {
  struct Row {
    int64_t n, at_95, at_99;  // 0: no interval. From sums of binomial coefficients in exact integers.
  };
  const auto row =
      GENERATE(Row{1, 0, 0}, Row{5, 0, 0}, Row{6, 1, 0}, Row{7, 1, 0}, Row{8, 1, 1}, Row{9, 2, 1}, Row{12, 3, 2},
               Row{15, 4, 3}, Row{20, 6, 4}, Row{25, 8, 6}, Row{100, 40, 37}, Row{2000, 956, 942});
  CAPTURE(row.n);
  CHECK(median_interval_rank(row.n, 0.95).value_or(0) == row.at_95);
  CHECK(median_interval_rank(row.n, 0.99).value_or(0) == row.at_99);
}

TEST_CASE("no values have no interval and a confidence outside (0, 1) is a mistake of the caller", "[stats]") {
  CHECK_FALSE(median_interval_rank(0, 0.95).has_value());
  CHECK_THROWS_AS(median_interval_rank(12, 1.0), std::invalid_argument);
  CHECK_THROWS_AS(median_interval_rank(12, 0.0), std::invalid_argument);
}

TEST_CASE("twelve values have their third from either end as interval", "[stats]") {
  const auto interval = median_interval(one_to(12));
  REQUIRE(interval.has_value());
  CHECK(interval->first == 3.0);
  CHECK(interval->second == 10.0);
  CHECK_FALSE(median_interval(one_to(5)).has_value());
}

TEST_CASE("a paired ratio is the median of the pairs' ratios, with its interval", "[stats]") {
  // Ratios 2, 4, 8, …, 4096: in logarithms 1 … 12 times ln 2. The sides' own medians would give another ratio.
  std::vector<double> above, below;
  for (int i = 1; i <= 12; ++i) {
    below.push_back(i % 2 == 0 ? 1.0 : 1000.0);
    above.push_back(std::pow(2.0, i) * below.back());
  }
  const auto ratio = paired_ratio(above, below);
  REQUIRE(ratio.has_value());
  CHECK(ratio->ratio == Approx(std::pow(2.0, 6.5)).epsilon(1e-12));
  CHECK(*ratio->low == Approx(8.0).epsilon(1e-12));
  CHECK(*ratio->high == Approx(1024.0).epsilon(1e-12));
  CHECK(ratio->confidence == 0.95);
  CHECK(ratio->n == 12);
}

TEST_CASE("few pairs give a ratio without an interval", "[stats]") {
  const auto ratio = paired_ratio(std::vector{6.0, 8.0, 3.0}, std::vector{2.0, 2.0, 2.0});
  REQUIRE(ratio.has_value());
  CHECK(ratio->ratio == Approx(3.0).epsilon(1e-14));
  CHECK_FALSE(ratio->low.has_value());
  CHECK_FALSE(ratio->high.has_value());
  CHECK(ratio->n == 3);
  CHECK_FALSE(paired_ratio({}, {}).has_value());
}

TEST_CASE("pairs that are no pairs or no durations are a mistake of the caller", "[stats]") {
  CHECK_THROWS_WITH(paired_ratio(std::vector{1.0, 2.0}, std::vector{1.0}), "paired_ratio: 2 values above, 1 below");
  CHECK_THROWS_WITH(paired_ratio(std::vector{1.0, 2.0}, std::vector{1.0, 0.0}), "paired_ratio: pair 1 holds 0.000000");
  CHECK_THROWS_AS(paired_ratio(std::vector{std::nan("")}, std::vector{1.0}), std::invalid_argument);
  CHECK_THROWS_WITH(paired_ratio(std::vector{1.0}, std::vector{HUGE_VAL}), "paired_ratio: pair 0 holds inf");
}

TEST_CASE("a robust line does not see one point that is far off", "[stats]") {
  const std::vector<double> x = {0, 1, 2, 3, 4}, y = {1, 3, 5, 7, 100};
  const auto line = robust_line(x, y);
  REQUIRE(line);
  CHECK(line->slope == 2);
  CHECK(line->intercept == 1);
  CHECK(line->at(10) == 21);
}

TEST_CASE("a robust line through points of equal x leaves their pairs out", "[stats]") {
  const std::vector<double> x = {1, 1, 3}, y = {0, 10, 4};  // slopes 2 and -3: -0.5
  CHECK(robust_line(x, y)->slope == -0.5);
  CHECK_FALSE(robust_line(std::vector<double>{1, 1}, std::vector<double>{0, 10}));
  CHECK_FALSE(robust_line({}, {}));
  CHECK_THROWS_AS(robust_line(x, std::vector<double>{1}), std::invalid_argument);
}

TEST_CASE("a robust line through many points takes them from all over", "[stats]") {
  std::vector<double> x, y;
  for (int i = 0; i < 5000; ++i) {
    x.push_back(i);
    y.push_back(i < 3000 ? 5.0 * i : 15000 + 1.0 * (i - 3000));
  }
  const auto line = robust_line(x, y);
  CHECK(line->slope > 1);
  CHECK(line->slope < 5);
}
