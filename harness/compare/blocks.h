// What the launches of one session say of one time of one case: the block in the middle, how surely it lies off zero, and
// what so many blocks can find at all. Pure functions on numbers.
//
// The sample is the block, a fresh process (a pair of them for two binaries): y[b][r] = ln(t_candidate / t_base) of round
// r of block b, both sides of a round measured side by side. Rounds share a process's memory layout, so they make a block
// more exact and never make more blocks. Positive is slower; whoever compares rates turns the sign.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace kvproof::compare {

/// Of everything that is told from zero, both sides together; one side alone gets half.
inline constexpr double kAlpha = 0.05;
inline constexpr double kOneSidedAlpha = kAlpha / 2;

/// d[b] = median over r of y[b][r]. Blocks may have different numbers of rounds.
/// throws std::invalid_argument: a block without rounds, a value that is not finite
std::vector<double> block_effects(std::span<const std::vector<double>> y);

/// Cases as one: the geometric mean of their ratios, block by block.
///
/// effects  by case, then block: d of as many blocks each, block b of all of them from the same launch
/// throws   std::invalid_argument: no case, different numbers of blocks
std::vector<double> joined_effects(std::span<const std::vector<double>> effects);

/// P(Bin(n, 1/2) >= positive): how likely so many of n blocks, or more, lie above zero where each does with a chance of a
/// half; of less, less likely.
/// throws std::invalid_argument: n < 0, positive outside [0, n]
double sign_test_p(int64_t positive, int64_t n);

/// A session's estimate.
///
/// What it promises, of blocks that are independent and whose median is M, whatever their distribution: [low, high] holds M
/// in 95 % of sessions or more (12 blocks: 96.1 %), and where M <= 0 (M >= 0), p_slower (p_faster) is at or below p in a
/// share p of sessions at most. low > 0 is the same as p_slower <= 0.025. It promises nothing about what shifts all blocks
/// of a session alike: the control and the margin are there for that.
struct Effect {
  double log_ratio = 0;  // m, the median of d
  std::optional<double> low,
      high;           // k-th smallest and k-th largest d (stats.h: median_interval); absent below 6 blocks
  double spread = 0;  // s, the standard deviation of d; 0 of one block
  double p_slower = 1, p_faster = 1;  // one-sided sign tests; a block at exactly zero speaks for neither
  int64_t blocks = 0;

  double ratio() const;  ///< candidate / base
};

/// throws std::invalid_argument: no block, a value that is not finite
Effect effect_of(std::span<const double> d);

/// exp((1.96 + 0.84) · 1.2533 · s / √N) − 1: the true effect, as a share, that four sessions of five tell from zero, by the
/// normal approximation. Of 12 blocks the exact interval tells it in two of three; a stalled block enlarges s, and hence
/// this figure, though hardly the interval. It knows nothing of a margin: alarm_from does.
double minimum_detectable(const Effect& effect);

/// A chance of REGRESSED (verdict.h) that N normal blocks of one standard deviation have at least.
///
/// log_effect  ln(candidate / base), the truth
/// margin      δ, as a share
/// tests       among how many gated ones it must stand, each held against α / 2 / tests (session.h)
/// returns     P(the interval is above 0) + P(more than half of the blocks are above ln(1 + δ)) − 1, both exact, or 0
double chance_of_regressed(double log_effect, double spread, int64_t blocks, double margin, int64_t tests = 1);

/// The least true slow-down, as a share, that is REGRESSED with a chance of 4/5: what a session can be told to find.
/// Absent: too few blocks for any, or more than a tenfold time.
std::optional<double> alarm_from(const Effect& effect, double margin, int64_t tests = 1);

/// How many blocks it takes to settle an effect with a chance of 4/5, should m and s be the truth and blocks be normal:
/// beyond ±ln(1 + δ) as REGRESSED or IMPROVED, within as EQUIVALENT.
///
/// tests    as in chance_of_regressed
/// returns  more than the effect has; absent above 1000: it lies too near the margin for any session
std::optional<int64_t> blocks_to_settle(const Effect& effect, double margin, int64_t tests = 1);

/// The least N with 2^−N <= α / 2 / tests: fewer blocks cannot call one test of so many a slow-down, not even all of them
/// together. 6 for one test, 12 for up to 102.
/// throws std::invalid_argument: tests < 1
int64_t least_blocks(int64_t tests);

}  // namespace kvproof::compare
