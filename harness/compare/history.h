// When a time changed, in a history of runs of one case on one machine. Pure functions on numbers.
//
// Points of different runs share nothing that could be paired, and identical code has differed up to 1.8-fold between them
// on shared machines: a history says where to look ("near commit X") and fails nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace kvproof::compare {

/// On either side of a step, and on both of a creep: fewer points show no level.
inline constexpr int64_t kLeastPoints = 3;

struct ChangePoint {
  std::size_t at = 0;  // index of the first point behind the step; what changed lies between point at − 1 and this one
  double before = 0, after = 0;  // geometric means from the last change, and until the next one
  double p = 1;                  // t_test_p of the logarithms on the two sides

  double ratio() const { return after / before; }
};

/// Steps of a series, the oldest point first, ascending in `at`.
///
/// A stretch is cut where the logarithms on its two sides differ most in distribution (energy_split), if a t-test at 5 %
/// agrees, and both parts likewise; then the weakest cut is dropped until each that remains has p <= max_p between its
/// neighbours. So a level that rose and fell again is found, neither end of which shows beside the other's points.
/// One or two points at an end that stand out are left aside: a step shows once three points stand behind it.
///
/// values   positive, all of one machine, program and workload (times, or rates: the unit does not matter)
/// max_p    of the t-test. Its place was chosen to be the largest, so it is no false alarm's chance: normal noise alone
///          gave a step in 2.3 % of series of 50 points and 6.2 % of 200 at the default
/// returns  nothing for fewer than 6 points
/// throws   std::invalid_argument: a value that is not positive and finite
/// cost     n² for each cut
/// source   Matteson and James, Journal of the American Statistical Association 109 (2014) 334; with a t-test in place of
///          permutations, which makes it repeatable, as Apache Otava does
std::vector<ChangePoint> change_points(std::span<const double> values, double max_p = 0.001);

/// Where a series is best cut in two: n m / (n + m) · (2 E|X − Y| − E|X − X'| − E|Y − Y'|) is largest, n and m points X
/// before and Y behind, expectations over different points.
struct Split {
  std::size_t at = 0;  // index of the first point behind
  double energy = 0;
};

/// least    points on both sides; two of one point have no E|X − X'|, which then counts as 0
/// returns  of equal ones the first; absent for fewer than 2 · least points, or fewer than 3
std::optional<Split> energy_split(std::span<const double> values, int64_t least = kLeastPoints);

/// Student's two-sided t-test of two samples with one variance (SciPy's ttest_ind). Means that differ by less than 1e-12
/// have 1, as times are whole nanoseconds; other samples without any variance 0.
/// throws std::invalid_argument: a sample is empty, or both hold one value
double t_test_p(std::span<const double> a, std::span<const double> b);

/// What steps too small to be seen have added up to since a release.
struct Creep {
  double ratio = 1;     // geometric mean of the latest over that of the release
  double p = 1;         // t_test_p of the logarithms
  bool slower = false;  // p <= max_p and ratio > 1 + margin
};

/// The newest points against those of a release that is pinned.
///
/// release, latest  times, positive; the same machine, workload and case
/// margin           δ, as a share
/// max_p            of one look, for both directions: who looks after each of 100 commits has 100 chances of an alarm,
///                  though not independent ones
/// returns          absent where one of the two has fewer than kLeastPoints
/// throws           std::invalid_argument: a value that is not positive and finite
std::optional<Creep> creep(std::span<const double> release, std::span<const double> latest, double margin,
                           double max_p = 0.01);

}  // namespace kvproof::compare
