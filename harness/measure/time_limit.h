// --max-time: how many repetitions fit into it, and how that is said and kept. It chooses, but never silently.
#pragma once

#include <string>
#include <vector>

#include "harness/config/config.h"
#include "harness/measure/plan.h"
#include "harness/record/record.h"
#include "harness/record/view.h"

namespace kvproof {

/// The plan with the repetitions that fit into max_time_s.
///
/// Cases whose repetitions are auto take at most k of them: one k for all, from RepetitionPolicy::least to the most that
/// auto would take in any, the largest with which the sum of the estimates is at most max_time_s. Repetitions that the
/// config gives stay. Pure: the same plan and time give the same k, and more time never gives a smaller one.
/// throws  ArgumentError(--max-time): even the fewest do not fit
Plan fit_into(const Plan& plan, double max_time_s);

/// What was chosen.
/// fitted  by fit_into
TimeLimit time_limit_of(const Plan& fitted, double max_time_s);

/// Puts what was chosen in place of auto. Of cases that the config does not have nothing is said: whoever goes on with a
/// journal finds out by the config's hash.
void put_into(LoadedConfig& config, const TimeLimit& limit);

/// "estimated 4 min 10 s; --max-time 5 min: 4 repetitions in place of 12 in 3 cases".
std::string time_limit_text(const TimeLimit& limit);

/// One for each number of repetitions that auto would have taken and did not get: "a, b: 4 repetitions of 12, …".
std::vector<std::string> time_limit_warnings(const TimeLimit& limit);

/// Writes down `max_time_s`, null where there was no limit, and adds to `warnings`, which must be there.
void record_time_limit(const LoadedConfig& config, Json& record);

/// In a run's journal.
Json time_limit_json(const TimeLimit& limit);
/// throws  RecordError
TimeLimit time_limit_from(const View& json);

}  // namespace kvproof
