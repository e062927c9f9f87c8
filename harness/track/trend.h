// What a history says of times: where a series stepped, whether it stands above a release. Pure functions.
//
// The document that they make, which the reports of a history read:
//   schema     {"name": "kvproof-trend", "version": 1};  history  the file, as it was named
//   against    the pinned release, or null;  margin  as a share: smaller changes are none
//   records, lines  how many;  left_out  {failed, invalid}: lines without points;  unfinished  number of a half last line,
//              or null
//   series[]   by case in the history's order, then metric; of one case and metric the newest machine and workload first
//     case, shape, metric ("engine.tpot_ns"), workload, fingerprint, cpu_model, build
//     current  false: the case has newer points of another machine, workload or build
//     verdict  SLOWER, FASTER or LEVEL: the newest stretch beside the stretch before it, or, with `against`, the newest points
//              beside the release's; TOO FEW: nothing can be said, with reason (else null): too few points, or
//              of a current series the newest record of its config on its machine has the case not, failed or INVALID
//     ratio    of that verdict, newest over then; null: TOO FEW, or no step
//     points[] the oldest first: started, commit, dirty, version, release (null), ns, low, high (null)
//     stretches[]  between steps: from, to (indices of points, both inside), ns (geometric mean)
//     steps[]  at (index of the first point behind), before {commit, started}, after {commit, started}, before_ns, after_ns,
//              ratio, p
//     release  null without `against`, or: points[] (indices), ns, latest[] (indices), latest_ns, ratio, p, slower (all null:
//              too few)
//   verdict    SLOWER if any current series is, else TOO FEW if any is or none has points, else LEVEL (FASTER included)
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/track/history.h"

namespace kvproof::track {

inline constexpr const char* kTrendSchema = "kvproof-trend";
inline constexpr int64_t kTrendVersion = 1;

/// Changes below are no news: a history has no noise floor of its own, and few machines repeat themselves better.
inline constexpr double kTrendMargin = 0.02;
/// The newest points that are held against a release: so many at most, of the newest stretch.
inline constexpr std::size_t kLatestPoints = 5;

/// "engine.tpot_ns" and the seven others.
const std::vector<std::string>& trend_metrics();
/// What is looked at where nobody says what: the engine's prefill and its time per token.
const std::vector<std::string>& default_trend_metrics();

struct TrendRequest {
  std::string name;                  // of the history
  std::vector<std::string> metrics;  // of trend_metrics()
  std::optional<std::string> against;
};

/// The document above. Only VALID cases make points, and only those of one case, workload, machine, build and metric a
/// series: times of different machines never join one line.
///
/// The points of a release are those that carry its tag, and those of the same commit without uncommitted changes.
/// throws NoBaselineError: no line has the tag `against`; it names those that exist
/// cost   n² of each series
Json trend_of(const History& history, const TrendRequest& request);

}  // namespace kvproof::track
