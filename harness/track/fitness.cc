#include "harness/track/fitness.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <set>

#include "harness/error.h"
#include "harness/record/machines.h"
#include "harness/stats/stats.h"

namespace kvproof::track {
namespace {

constexpr std::size_t kNamed = 3;  // cases by name in one sentence

std::string names_of(const std::vector<std::string>& ids) {
  const auto named = static_cast<std::ptrdiff_t>(std::min(ids.size(), kNamed));
  std::string names = fmt::format("{}", fmt::join(ids.begin(), ids.begin() + named, ", "));
  return ids.size() > kNamed ? fmt::format("{} and {} more", names, ids.size() - kNamed) : names;
}

struct Cases {
  std::vector<std::string> failed, invalid, disagree, unverified, short_of_repetitions, twice;
};

Cases cases_of(const View& record) {
  Cases cases;
  std::set<std::string> seen;
  for (const View& one : record.at("cases").items()) {
    const std::string id = one.at("id").text();
    if (!seen.insert(id).second) cases.twice.push_back(id);
    if (one.at("status").text() != "ok") {
      cases.failed.push_back(id);
      continue;
    }
    const std::string agreement = one.at("agreement").at("verdict").text();
    if (agreement == "DISAGREE") {
      cases.disagree.push_back(id);
    } else if (one.at("validity").at("verdict").text() != "VALID") {
      cases.invalid.push_back(id);
    }
    if (agreement == "UNVERIFIED") cases.unverified.push_back(id);
    for (const char* path : {"naive", "engine"}) {
      if (median_interval_rank(static_cast<int64_t>(one.at("paths").at(path).at("samples").items().size()), 0.95))
        continue;
      cases.short_of_repetitions.push_back(id);
      break;
    }
  }
  return cases;
}

// A sentence about a Debug build or sanitizers; empty: neither.
std::string slow_build(const View& program) {
  const std::string sanitizers = program.at("sanitizers").text(), type = program.at("build_type").text();
  if (!sanitizers.empty()) return fmt::format("it was built with sanitizers ({})", sanitizers);
  if (type == "Debug" || type.empty()) return fmt::format("it was built as {}", type.empty() ? "nothing named" : type);
  return "";
}

// Seconds since 1970 of "2026-11-22T10:15:00Z".
int64_t seconds_of(const View& moment) {
  int year = 0, hour = 0, minute = 0, second = 0;
  unsigned month = 0, day = 0;
  const std::string text = moment.text();
  if (std::sscanf(text.c_str(), "%d-%u-%uT%d:%d:%d", &year, &month, &day, &hour, &minute, &second) != 6) {
    throw RecordError(moment.pointer(),
                      "expected a moment such as 2026-11-22T10:15:00Z, found \"" + text + "\"; the record is damaged");
  }
  const std::chrono::sys_days midnight{std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(day)};
  return midnight.time_since_epoch().count() * 86400LL + hour * 3600 + minute * 60 + second;
}

// Of the hypervisor, of all CPUs' time; absent where it is not told.
std::optional<double> stolen_share(const View& record) {
  const View machine = record.at("machine");
  if (!machine.has("steal_ns")) return std::nullopt;
  const auto stolen = machine.at("steal_ns").integer_or_null();
  const double seconds = static_cast<double>(seconds_of(record.at("finished")) - seconds_of(record.at("started")));
  if (!stolen || seconds <= 0) return std::nullopt;
  return 1e-9 * static_cast<double>(*stolen) / (seconds * machine.at("cores").number());
}

void judge_machine(const View& record, std::vector<std::string>& refusals) {
  const View machine = record.at("machine");
  if (has_several_machines(record)) {
    refusals.push_back("it was measured on several machines, whose times do not belong together");
    return;
  }
  const View load = machine.at("load_before");
  if (!load.is_null() && !load.items().empty()) {
    const double limit = kMostLoad * machine.at("cores").number(), found = load.items()[0].number();
    if (found > limit)
      refusals.push_back(
          fmt::format("the load before the run was {:.2f}, above {:.2f} ({:.1f} for each core): end other programs",
                      found, limit, kMostLoad));
  }
  if (const auto share = stolen_share(record); share && *share > kMostStolen) {
    refusals.push_back(fmt::format(
        "the hypervisor took {:.1f} % of the CPUs' time, more than {:.0f} %: measure where no other machine "
        "shares the CPUs",
        100 * *share, 100 * kMostStolen));
  }
  if (machine.has("throttles") && machine.at("throttles").integer_or_null().value_or(0) > 0) {
    refusals.push_back(
        fmt::format("CPUs were slowed down {} times for heat or power: let the machine cool, or lower its clock",
                    machine.at("throttles").integer()));
  }
  for (const View& warning : record.at("warnings").items()) {
    if (warning.text().starts_with(kBecameSlower)) refusals.push_back(warning.text());
  }
}

void judge_cases(const View& record, compare::Times times, Fitness& fitness) {
  const Cases cases = cases_of(record);
  const auto refuse = [&](const std::vector<std::string>& ids, const char* why) {
    if (!ids.empty()) fitness.refusals.push_back(fmt::format("{}: {}", names_of(ids), why));
  };
  if (record.at("cases").items().empty()) fitness.refusals.push_back("it has no cases");
  refuse(cases.twice, "a case of that name is there twice");
  refuse(cases.failed, "failed; mend that, or leave it out of the config");
  refuse(cases.disagree, "naive and engine DISAGREE; mend the engine first");
  refuse(cases.invalid, "INVALID; kvproof report shows why");
  if (!cases.unverified.empty())
    fitness.warnings.push_back(
        fmt::format("{}: outputs were not compared (UNVERIFIED), so nobody knows that what is kept is right",
                    names_of(cases.unverified)));
  if (times == compare::Times::keep && !cases.short_of_repetitions.empty())
    fitness.warnings.push_back(
        fmt::format("{}: too few repetitions for intervals of times at 95 %; set run.repetitions to 6 or more",
                    names_of(cases.short_of_repetitions)));
}

}  // namespace

Fitness fitness_of(const Json& document, compare::Times times) {
  const View record(document), program = record.at("kvproof");
  Fitness fitness;
  if (record.has("partial") && record.at("partial").boolean()) {
    fitness.refusals.push_back(
        "the run was interrupted: finish it with kvproof run --resume and the .jsonl file beside the record");
    return fitness;  // its cases that failed did so for that
  }
  judge_cases(record, times, fitness);
  if (const std::string build = slow_build(program); !build.empty()) {
    if (times == compare::Times::keep) {
      fitness.refusals.push_back(build +
                                 ", which says nothing of times: measure with -DCMAKE_BUILD_TYPE=Release, or keep "
                                 "no times (--exact)");
    } else {
      fitness.warnings.push_back(build +
                                 ": its last digits, and so its tokens, may differ from those of a Release build");
    }
  }
  if (program.at("dirty").boolean())
    fitness.warnings.push_back("it was built with changes that were not committed: its commit does not name the code");
  if (times == compare::Times::keep) judge_machine(record, fitness.refusals);
  return fitness;
}

}  // namespace kvproof::track
