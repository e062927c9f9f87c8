// Numbers about samples: pure functions, no clock, no state. What a sample cannot carry is absent, never guessed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>

namespace kvproof {

/// The middle value; of an even number the mean of the two in the middle. Absent for an empty sample.
std::optional<double> median(std::span<const double> values);

struct Summary {
  double median = 0, min = 0, max = 0;
  int64_t n = 0;
};

/// Absent for an empty sample.
std::optional<Summary> summarize(std::span<const double> values);

/// The smallest sample that carries quantile q: 11 for q = 0.5, 64 for 0.9, 130 for 0.95, 662 for 0.99.
///
/// q       in (0, 1)
/// returns the least n with P(at most one of n values lies above the quantile) <= 1 %, so that the largest value,
///         which any stall can be, never decides alone
/// source  MLPerf LoadGen's early stopping rule with one query over the limit
int64_t minimum_sample(double q);

/// Quantile q by linear interpolation between order statistics (NumPy's default; for q = 0.5 the median).
/// Absent below minimum_sample(q).
/// throws std::invalid_argument: q outside (0, 1)
std::optional<double> quantile(std::span<const double> values, double q);

/// Which order statistics enclose the median: k stands for [k-th smallest, k-th largest], counted from 1.
///
/// n           size of the sample; confidence in (0, 1)
/// returns     k = max{k : P(Bin(n, 1/2) <= k - 1) <= (1 - confidence) / 2}: n = 12 at 95 % gives 3.
///             Absent where there is none: at 95 %, n < 6
/// source      the exact sign test turned into an interval (Conover, Practical Nonparametric Statistics, 3.2)
std::optional<int64_t> median_interval_rank(int64_t n, double confidence);

/// The interval of the median that median_interval_rank names. It assumes independent values, no distribution.
std::optional<std::pair<double, double>> median_interval(std::span<const double> values, double confidence = 0.95);

/// A ratio and how well it is known.
struct Interval {
  double ratio = 0;
  std::optional<double> low, high;  // absent where n is too small for the confidence
  double confidence = 0.95;         // asked for; what the order statistics reach is not less
  int64_t n = 0;                    // pairs
};

/// How much larger one side of paired values is than the other: exp of the median of ln(above / below), and of its
/// interval.
///
/// above, below  equally long, all positive, element i of both measured side by side (naive and engine of a repetition)
/// returns       absent for no pairs
/// throws        std::invalid_argument: unequal lengths, a value that is not positive and finite
std::optional<Interval> paired_ratio(std::span<const double> above, std::span<const double> below,
                                     double confidence = 0.95);

/// y = intercept + slope · x.
struct Line {
  double slope = 0, intercept = 0;

  double at(double x) const { return intercept + slope * x; }
};

/// The line of Theil and Sen: its slope is the median over all pairs with different x, its intercept the median of
/// y − slope · x. Up to 29 % of the points may be anything.
///
/// returns absent where no two x differ
/// throws  std::invalid_argument: unequal lengths
/// cost    n² / 2 slopes; of more than 1024 points 1024 are taken, evenly
/// source  Sen, Journal of the American Statistical Association 63 (1968) 1379
std::optional<Line> robust_line(std::span<const double> x, std::span<const double> y);

}  // namespace kvproof
