// Words for what a comparison found, and the rule that turns an effect into one of them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "harness/compare/blocks.h"

namespace kvproof::compare {

enum class Verdict {
  regressed,
  improved,
  equivalent,
  inconclusive,  // of times
  identical,
  changed,      // of exact metrics, which have no noise
  incomparable  // not the same work, or nothing to hold it against
};

/// "REGRESSED"
std::string_view word(Verdict verdict);

/// The effect that a session of identical code measured, one for each case and metric.
struct AaEffect {
  std::string fingerprint, metric;  // of the machine; "prefill_cpu"
  double log_ratio = 0;             // m
};

/// Margins above this hide what users would call a regression.
inline constexpr double kWideMargin = 0.05;

/// How large an effect must be to matter on this machine.
struct Margin {
  double share = 0.02;                // δ: 0.02 is 2 %
  std::optional<double> noise_floor;  // absent: nothing recorded on this machine
  int64_t recorded = 0;               // effects that the floor stands on

  double log() const;  ///< ln(1 + δ)
};

/// δ = max(2 %, 1.5 · noise floor).
///
/// The floor is the 95th percentile of |m| among what was recorded for this metric on a machine of this fingerprint: what
/// shifts all blocks of a session alike (memory layout, the place of the code), which no number of blocks averages out.
/// One identical session in twenty measures more than the floor, so far fewer more than δ. Of fewer than 20 the
/// percentile would lie between the largest two, whoever they are: the largest is taken, which is not below it.
Margin margin_of(std::span<const AaEffect> recorded, std::string_view fingerprint, std::string_view metric);

/// REGRESSED     interval above 0 and m > ln(1 + δ)
/// IMPROVED      interval below 0 and m < −ln(1 + δ)
/// EQUIVALENT    interval inside ±ln(1 + δ); but where δ is above 5 %, only if the interval holds 0: a machine on which identical
///               code differs so much cannot call equal what surely is not
/// INCONCLUSIVE  else, and wherever there are too few blocks for an interval; blocks_to_settle says what would help
///
/// What it promises of one test of one session, with the blocks' median M where effect_of is right about it:
///   M <= 0           REGRESSED in 2.5 % of sessions at most (12 blocks: 1.93 %), in far fewer where s is small beside δ
///   M >= ln(1 + δ)   EQUIVALENT in 2.5 % at most, likewise
/// REGRESSED says that it is slower at all, and by more than δ as estimated: not that it is surely slower by δ.
/// EQUIVALENT says that it is surely neither slower nor faster by δ. Both at once are impossible.
Verdict judge(const Effect& effect, const Margin& margin);

}  // namespace kvproof::compare
