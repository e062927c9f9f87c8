#include "harness/measure/time_limit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>

#include "harness/duration.h"
#include "harness/error.h"
#include "harness/measure/repetitions.h"
#include "harness/measure/warnings.h"

namespace kvproof {
namespace {

/// So that it suffices when it is given back as it is written.
std::string rounded_up(double seconds) {
  const double unit = seconds > 3600 ? 60 : seconds > 10 ? 1 : 0.1;
  return duration_text(std::ceil(seconds / unit) * unit);
}

[[noreturn]] void fail(const Plan& fewest, double max_time_s) {
  throw ArgumentError(
      "--max-time",
      fmt::format(
          "must be at least {}, which even the fewest repetitions ({} where they are auto) are estimated to take "
          "here, got {}; raise it, or give fewer cases, shorter prompts or lower repetitions: N",
          rounded_up(fewest.estimated_s()), RepetitionPolicy{}.least, duration_text(max_time_s)));
}

bool is_lowered(const TimeLimit::Choice& choice) { return choice.repetitions < choice.auto_repetitions; }

/// "12", "5 to 12".
std::string range_text(int64_t low, int64_t high) {
  return low == high ? std::to_string(low) : fmt::format("{} to {}", low, high);
}

}  // namespace

Plan fit_into(const Plan& plan, double max_time_s) {
  const int64_t least = RepetitionPolicy{}.least;
  int64_t most = least;
  for (const PlannedCase& each : plan.cases) most = std::max(most, each.auto_repetitions.value_or(least));
  for (int64_t k = most; k >= least; --k) {
    Plan fitted = with_at_most(plan, k);
    if (fitted.estimated_s() <= max_time_s) return fitted;
  }
  fail(with_at_most(plan, least), max_time_s);
}

TimeLimit time_limit_of(const Plan& fitted, double max_time_s) {
  TimeLimit limit{max_time_s, fitted.estimated_s(), {}};
  for (const PlannedCase& each : fitted.cases) {
    if (each.auto_repetitions) limit.choices.push_back({each.id, each.repetitions, *each.auto_repetitions});
  }
  return limit;
}

void put_into(LoadedConfig& config, const TimeLimit& limit) {
  std::map<std::string, int64_t> chosen;
  for (const TimeLimit::Choice& choice : limit.choices) chosen[choice.id] = choice.repetitions;
  for (Case& cell : config.cases) {
    if (const auto found = chosen.find(cell.id); found != chosen.end()) cell.run.repetitions = found->second;
  }
  config.time_limit = limit;
}

std::string time_limit_text(const TimeLimit& limit) {
  const std::string times =
      fmt::format("estimated {}; --max-time {}: ", duration_text(limit.estimated_s), duration_text(limit.max_time_s));
  if (limit.choices.empty()) return times + "the config gives all repetitions";
  std::vector<int64_t> given_up;
  int64_t chosen = 0;
  for (const TimeLimit::Choice& choice : limit.choices) {
    if (!is_lowered(choice)) continue;
    given_up.push_back(choice.auto_repetitions);
    chosen = choice.repetitions;  // the same in all of them
  }
  if (given_up.empty()) return times + "as many repetitions as without it";
  const auto [low, high] = std::minmax_element(given_up.begin(), given_up.end());
  return times + fmt::format("{} repetitions in place of {} in {} case{}", chosen, range_text(*low, *high),
                             given_up.size(), given_up.size() == 1 ? "" : "s");
}

std::vector<std::string> time_limit_warnings(const TimeLimit& limit) {
  CaseWarnings warnings;
  for (const TimeLimit::Choice& choice : limit.choices) {
    if (!is_lowered(choice)) continue;
    warnings.add(choice.id,
                 {fmt::format("{} repetitions of {}, chosen by --max-time {}: intervals are wider than they "
                              "could be; give more time, or fewer cases",
                              choice.repetitions, choice.auto_repetitions, duration_text(limit.max_time_s))});
  }
  return warnings.lines();
}

void record_time_limit(const LoadedConfig& config, Json& record) {
  record["max_time_s"] = config.time_limit ? Json(config.time_limit->max_time_s) : Json(nullptr);
  if (!config.time_limit) return;
  for (const std::string& warning : time_limit_warnings(*config.time_limit)) record["warnings"].push_back(warning);
}

Json time_limit_json(const TimeLimit& limit) {
  Json choices = Json::array();
  for (const TimeLimit::Choice& choice : limit.choices)
    choices.push_back({{"case", choice.id}, {"repetitions", choice.repetitions}, {"auto", choice.auto_repetitions}});
  return {{"max_time_s", limit.max_time_s}, {"estimated_s", limit.estimated_s}, {"choices", choices}};
}

TimeLimit time_limit_from(const View& json) {
  TimeLimit limit{json.at("max_time_s").number(), json.at("estimated_s").number(), {}};
  for (const View& choice : json.at("choices").items())
    limit.choices.push_back(
        {choice.at("case").text(), choice.at("repetitions").integer(), choice.at("auto").integer()});
  return limit;
}

}  // namespace kvproof
