#include "harness/gate/timing_gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/measure/open_groups.h"
#include "harness/stats/stats.h"

namespace kvproof {
namespace {

using compare::Judged;
using compare::Measured;

/// A session may be this much longer than asked where chance would need it.
constexpr int64_t kMostBlocksOver = 2;

struct Metric {
  Timed timed;
  ClockKind clock;
};

std::vector<Metric> metrics_of(const CompareSpec& spec) {
  std::vector<Metric> metrics;
  for (const ClockKind clock : {ClockKind::cpu, ClockKind::wall}) {  // those that may gate first
    for (const std::string& word : spec.time) metrics.push_back({timed_of(word), clock});
  }
  return metrics;
}

std::vector<Path> paths_of(const std::vector<Timed>& timed) {
  std::vector<Path> paths;
  for (const Path path : {Path::naive, Path::engine}) {
    if (std::any_of(timed.begin(), timed.end(), [&](const Timed& one) { return one.path == path; }))
      paths.push_back(path);
  }
  return paths;
}

/// Whether a case can have what is timed; rows that stop early are not foreseen.
bool has(const Case& cell, const Timed& timed) { return timed.part != Part::decode || cell.sampler.max_tokens > 1; }

PairedSpec paired_spec(const TimingSpec& spec, int64_t blocks) {
  PairedSpec paired;
  paired.start = spec.start;
  paired.blocks = blocks;
  paired.rounds = spec.compare.rounds;
  paired.epoch_ns = spec.compare.epoch_ms * 1'000'000;
  std::vector<Timed> timed;
  for (const std::string& word : spec.compare.time) timed.push_back(timed_of(word));
  paired.warm_up = {1, spec.compare.warm_up_ms * 1'000'000, paths_of(timed)};
  std::vector<Timed> uncontrolled = timed;
  for (const Case& cell : spec.cases) {
    const auto left =
        std::remove_if(uncontrolled.begin(), uncontrolled.end(), [&](const Timed& one) { return has(cell, one); });
    paired.cases.push_back({cell.id, timed, left != uncontrolled.end()});
    uncontrolled.erase(left, uncontrolled.end());
  }
  return paired;
}

/// What will gate, as far as the config says; the facts may take some of it away.
compare::Family family_of(const TimingSpec& spec) {
  int64_t tests = 0, metrics = 0;
  for (const std::string& word : spec.compare.time) {
    const auto gated = std::count_if(spec.cases.begin(), spec.cases.end(), [&](const Case& cell) {
      return has(cell, timed_of(word)) && cell.run.threads.value_or(1) == 1;
    });
    tests += gated;
    metrics += gated > 0;
  }
  return compare::plan_family(tests, metrics, spec.compare.blocks, kMostBlocksOver * spec.compare.blocks);
}

const CaseFacts* facts_of(const PairedSession& session, std::size_t index) {
  const PairedFacts& facts = session.cases[index];
  if (!facts.untimed.empty() || facts.sides.empty()) return nullptr;
  return &facts.sides.at(Side::base);
}

Measured measured_of(const PairedSession& session, const std::string& id, const Metric& metric, Side against,
                     bool gated) {
  const auto y = log_ratios(session.blocks, id, metric.timed, against, metric.clock);
  Measured measured{id, metric_name(metric.timed, metric.clock), {}, gated};
  if (!y.empty()) measured.effects = compare::block_effects(y);
  return measured;
}

/// Everything a session measured against one side.
std::vector<Measured> all_measured(const PairedSession& session, const TimingSpec& spec, Side against) {
  std::vector<Measured> measured;
  for (std::size_t index = 0; index < session.cases.size(); ++index) {
    const CaseFacts* facts = facts_of(session, index);
    if (!facts) continue;
    for (const Metric& metric : metrics_of(spec.compare)) {
      Measured one = measured_of(session, facts->id, metric, against, gates(*facts, metric.clock));
      if (!one.effects.empty()) measured.push_back(std::move(one));
    }
  }
  return measured;
}

std::map<std::string, compare::Margin> margins_of(const TimingSpec& spec, const std::string& fingerprint) {
  std::map<std::string, compare::Margin> margins;
  for (const Metric& metric : metrics_of(spec.compare)) {
    const std::string name = metric_name(metric.timed, metric.clock);
    margins[name] = compare::margin_of(spec.recorded, fingerprint, name);
  }
  return margins;
}

double per_unit(const std::array<EpochTimes, 2>& epochs, ClockKind clock) {
  const int64_t EpochTimes::*time = clock == ClockKind::wall ? &EpochTimes::wall_ns : &EpochTimes::cpu_ns;
  return static_cast<double>(epochs[0].*time + epochs[1].*time) /
         static_cast<double>(epochs[0].units + epochs[1].units);
}

std::optional<UnitTimes> unit_times(const PairedSession& session, const std::string& id, const std::string& metric) {
  std::vector<double> base, candidate;
  for (const auto& block : session.blocks) {
    for (const Rounds& run : block) {
      if (run.id != id || run.against != Side::candidate) continue;
      for (const ClockKind clock : {ClockKind::cpu, ClockKind::wall}) {
        if (metric_name(run.timed, clock) != metric) continue;
        for (const Round& round : run.rounds) {
          base.push_back(per_unit(round.base, clock));
          candidate.push_back(per_unit(round.other, clock));
        }
      }
    }
  }
  if (base.empty()) return std::nullopt;
  return UnitTimes{*median(base), *median(candidate)};
}

/// What a second session must measure again.
TimingSpec narrowed(const TimingSpec& spec, const std::vector<Judged>& fired) {
  TimingSpec again = spec;
  const bool joined =
      std::any_of(fired.begin(), fired.end(), [](const Judged& one) { return one.case_id == compare::kAllCases; });
  std::erase_if(again.compare.time, [&](const std::string& word) {
    return std::none_of(fired.begin(), fired.end(),
                        [&](const Judged& one) { return one.metric == metric_name(timed_of(word), ClockKind::cpu); });
  });
  if (joined) return again;
  std::erase_if(again.cases, [&](const Case& cell) {
    return std::none_of(fired.begin(), fired.end(), [&](const Judged& one) { return one.case_id == cell.id; });
  });
  return again;
}

bool is_among(const std::vector<Judged>& fired, const std::string& case_id, const std::string& metric) {
  return std::any_of(fired.begin(), fired.end(),
                     [&](const Judged& each) { return each.case_id == case_id && each.metric == metric; });
}

}  // namespace

std::vector<Case> cases_to_time(const LoadedConfig& config) {
  std::vector<Case> cases;
  for (const std::size_t index : OpenGroups(config).in_order()) cases.push_back(config.cases[index]);
  return cases;
}

std::string metric_name(const Timed& timed, ClockKind clock) {
  return fmt::format("{} {}", word_of(timed), clock == ClockKind::wall ? "wall" : "cpu");
}

bool gates(const CaseFacts& facts, ClockKind clock) {
  return clock == ClockKind::cpu && facts.threads == 1 && facts.device == "cpu";
}

JudgedSession judge_paired(const PairedSession& session, const TimingSpec& spec, const compare::Family& family,
                           const std::vector<Judged>* only) {
  compare::Session measured{all_measured(session, spec, Side::candidate), all_measured(session, spec, Side::control),
                            margins_of(spec, session.candidate.fingerprint)};
  if (family.cases_joined) measured.compared = compare::join_cases(measured.compared);
  if (only)
    std::erase_if(measured.compared, [&](const Measured& one) { return !is_among(*only, one.case_id, one.metric); });
  JudgedSession judged;
  for (const Measured& each : measured.controls) {
    Judged one{
        each.case_id, each.metric, each.gated, compare::effect_of(each.effects), measured.margins[each.metric], {}, {},
        {},           {},          {}};
    one.verdict = compare::judge(one.effect, one.margin);
    judged.controls.push_back(std::move(one));
  }
  judged.compared = compare::judge_session(measured);
  return judged;
}

std::vector<compare::AaEffect> TimingOutcome::aa_effects() const {
  std::vector<compare::AaEffect> effects;
  for (const Judged& control : controls)
    effects.push_back({first.candidate.fingerprint, control.metric, control.effect.log_ratio});
  return effects;
}

compare::Verdict TimingOutcome::verdict() const {
  std::vector<Judged> judged;
  for (const TimedVerdict& each : verdicts) judged.push_back(each.judged);
  return compare::gate(judged);
}

TimingOutcome run_timing_gate(const TimingSpec& spec, Journal* journal, const PairedListener& listener) {
  TimingOutcome outcome;
  outcome.family = family_of(spec);
  outcome.first = measure_paired(paired_spec(spec, outcome.family.blocks), journal, listener);
  outcome.interrupted = outcome.first.interrupted;
  if (outcome.interrupted) return outcome;
  auto [judged, controls] = judge_paired(outcome.first, spec, outcome.family);
  outcome.controls = std::move(controls);
  const std::vector<Judged> fired = compare::to_confirm(judged);
  std::vector<Judged> second;
  if (!fired.empty()) {
    const TimingSpec again = narrowed(spec, fired);
    outcome.second = measure_paired(paired_spec(again, outcome.family.blocks), journal, listener);
    outcome.interrupted = outcome.second->interrupted;
    if (!outcome.interrupted) second = judge_paired(*outcome.second, again, outcome.family, &fired).compared;
    judged = compare::confirm(std::move(judged), second);
  }
  for (Judged& each : judged) {
    TimedVerdict verdict{std::move(each), {}, {}};
    verdict.times = unit_times(outcome.first, verdict.judged.case_id, verdict.judged.metric);
    const auto repeated = std::find_if(second.begin(), second.end(), [&](const Judged& one) {
      return one.case_id == verdict.judged.case_id && one.metric == verdict.judged.metric;
    });
    if (repeated != second.end()) verdict.second = *repeated;
    outcome.verdicts.push_back(std::move(verdict));
  }
  return outcome;
}

}  // namespace kvproof
