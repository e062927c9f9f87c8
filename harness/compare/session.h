// All verdicts of one session together: the control, many tests at once, the second session. Pure functions on numbers.
//
// What a gate promises where the code is the same: a session calls any of its M gated times REGRESSED with a chance of
// 2.5 % at most (Holm, whatever the tests have to do with each other); to fail, one of those must be called so again by a
// second session, on its own 2.5 %: 0.0625 %, if nothing shifts all blocks of both sessions the same way. Against
// what does, there are the margin (what identical code has shown before) and the control (what it shows now).
// The number of blocks is fixed before a session begins. Going on until a verdict is reached would break all of this:
// after INCONCLUSIVE the next session starts from nothing, with more blocks.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/compare/verdict.h"

namespace kvproof::compare {

/// One metric of one case, as measured.
struct Measured {
  std::string case_id, metric;
  std::vector<double> effects;  // d[b], not empty
  bool gated = true;            // false: report only (wall time, more than one thread), nobody's test but its own
};

struct Session {
  std::vector<Measured> compared;         // candidate against base
  std::vector<Measured> controls;         // base against its own copy: of each metric one case or more
  std::map<std::string, Margin> margins;  // by metric; 2 % where none is given
};

struct Judged {
  std::string case_id, metric;
  bool gated = true;
  Effect effect;
  Margin margin;
  Verdict verdict = Verdict::inconclusive;
  double p = 1;  // of its slow-down; of a gated one by Holm, among all gated ones: at or below 0.025 it stands
  std::optional<int64_t> blocks_to_settle;  // of an INCONCLUSIVE that more blocks would settle
  std::string reason;                       // of an INCONCLUSIVE, a sentence without its stop; else empty
  bool confirmed = false;                   // a REGRESSED that a second session repeated
};

/// Holm's step-down p values, in the order given: rejecting those at or below α calls a true hypothesis false with a chance
/// of α at most over all of them, however they depend on each other.
/// source  Holm, Scandinavian Journal of Statistics 6 (1979) 65
std::vector<double> holm(std::span<const double> p);

/// Verdicts in the order of session.compared: judge's, of which a REGRESSED or IMPROVED becomes INCONCLUSIVE
///   where Holm's correction over all gated ones takes it away (gated ones only; slower and faster each for themselves), and
///   where a control of its metric is REGRESSED or IMPROVED by judge with the same margin, or there is none: a session that
///   finds identical code different can praise nobody either.
///
/// throws std::invalid_argument: a Measured without blocks; two of one case and metric
std::vector<Judged> judge_session(const Session& session);

/// What a second, fresh session must measure: those that are gated and REGRESSED.
std::vector<Judged> to_confirm(std::span<const Judged> first);

/// The first session's verdicts after the second: of those to confirm, REGRESSED where the second says so too, else
/// INCONCLUSIVE, whatever it says and also where it lacks them.
std::vector<Judged> confirm(std::vector<Judged> first, std::span<const Judged> second);

/// What gates make of it: REGRESSED (one that is gated and confirmed), else INCONCLUSIVE (one that is gated, or a
/// REGRESSED not confirmed), else IMPROVED (one that is gated), else EQUIVALENT; INCOMPARABLE where nothing is gated.
Verdict gate(std::span<const Judged> judged);

/// How many tests and blocks a session needs so that one slow-down among them can be told.
struct Family {
  int64_t tests = 0, blocks = 0;
  bool cases_joined = false;  // join_cases before judging; one case's slow-down then weighs 1 / cases
  std::string note;           // what was changed and why, for the report; empty: nothing
};

/// As asked if 2^−blocks carries α / 2 over the tests; else more blocks; where that takes more than most_blocks, cases are
/// joined. With most_blocks blocks where not even that is enough, which the note says.
///
/// tests    gated ones: metrics of cases; none: as asked
/// metrics  among them, that stay where cases are joined
/// throws   std::invalid_argument: a negative number, fewer tests than metrics, no blocks
Family plan_family(int64_t tests, int64_t metrics, int64_t blocks, int64_t most_blocks);

/// The case_id of what was joined.
inline constexpr const char* kAllCases = "all cases";

/// The cases of each gated metric as one, case_id "all cases"; those that are not gated stay as they are.
/// throws std::invalid_argument: cases of one metric with different numbers of blocks
std::vector<Measured> join_cases(std::span<const Measured> measured);

}  // namespace kvproof::compare
