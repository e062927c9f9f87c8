#include "harness/verify/scenarios/drive.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/error.h"
#include "harness/verify/scenarios/compare.h"
#include "harness/verify/scenarios/execute.h"
#include "harness/verify/scenarios/invariants.h"
#include "harness/verify/scenarios/slots.h"
#include "harness/verify/scenarios/stages.h"

namespace kvproof {
namespace {

class Driver {
 public:
  Driver(const Script& script, ScenarioOutcome& outcome, Subject& subject, TraceBank& bank, const DriveOptions& options)
      : script_(script), outcome_(outcome), subject_(subject), info_(subject.info()), options_(options),
        comparison_(standing_, info_, histories(script), bank, outcome),
        slots_(standing_, info_, static_cast<int64_t>(script.steps.size()), comparison_) {}

  void run() {
    if (!info_.can.has(Ability::caches))  // a reference may need a cache of its own: not beside the scenario's
      comparison_.recompute_all();
    for (std::size_t i = 0; i < script_.steps.size(); ++i) {
      standing_.step = static_cast<int64_t>(i);
      take(script_.steps[i]);
    }
    for (const Twin& twin : script_.twins) run_twin(twin);
  }

  /// Notes where an exception ended the scenario.
  void note_break(const std::string& error) {
    outcome_.note({Level::invariants, comparison_.place(kNowhere, "state"), 0, 0, "ended in an error: " + error, {}});
  }

 private:
  // --- steps ---------------------------------------------------------------------------------------------------------

  void take(const CacheStep& step) {
    stand_at(step);
    StageCollector stages;
    const Executed executed = execute(step, subject_, info_.can, standing_.caches, &stages);
    check_refusal(step, executed);
    apply(step, standing_.expected);
    remember_change(step);
    if (step.kind == CacheStep::Kind::poison) return;
    if (!check_lengths(standing_, comparison_)) return;
    check_storage(standing_, comparison_);
    if (step.kind != CacheStep::Kind::forward || step.refused) return slots_.check(step);
    if (!script_.twins.empty()) recorded_[standing_.step] = executed.logits;
    check_stages(stages, standing_, comparison_);
    slots_.check(step);
    check_logits(executed.logits);
    standing_.steps_right |=
        outcome_.findings.empty() && step.tokens.front().size() == 1 && standing_.forward_from.front() > 0;
  }

  void stand_at(const CacheStep& step) {
    standing_.operation = step.describe();
    standing_.cache = step.cache;
    standing_.before = standing_.expected;
    standing_.forward_from.clear();
    if (step.kind != CacheStep::Kind::forward) return;
    if (const std::string& change = last_change_[step.cache]; !change.empty())
      standing_.operation += " after " + change;
    for (const Tokens& row : standing_.before[step.cache].rows)
      standing_.forward_from.push_back(static_cast<int64_t>(row.size()));
  }

  void remember_change(const CacheStep& step) {
    if (step.kind == CacheStep::Kind::create || step.kind == CacheStep::Kind::clone) {
      last_change_[step.cache].clear();
      slots_.forget(step.cache);
    }
    if (step.kind == CacheStep::Kind::create) return;
    if (step.kind == CacheStep::Kind::clone) last_change_[step.source] = "being cloned";
    if (step.kind != CacheStep::Kind::forward)
      last_change_[step.cache] = step.describe();
    else if (step.refused)
      last_change_[step.cache] = "a refusal";
  }

  void check_refusal(const CacheStep& step, const Executed& executed) {
    if (!step.refused) return;
    std::size_t most = 0;
    for (const Tokens& row : step.tokens) most = std::max(most, row.size());
    comparison_.fact(Level::invariants, executed.refused, comparison_.place(kNowhere, "state"),
                     fmt::format("{} token{} more than fit {} taken without a word", most, most == 1 ? "" : "s",
                                 most == 1 ? "was" : "were"));
  }

  // --- L2 ------------------------------------------------------------------------------------------------------------

  void check_logits(const std::vector<LogitRows>& logits) {
    for (std::size_t row = 0; row < logits.size(); ++row) {
      const LogitRows& found = logits[row];
      const Tokens& held = standing_.own_rows()[row];
      const auto last = static_cast<int64_t>(held.size()) - 1;
      const int64_t first = found.rows == 1 ? last : standing_.forward_from[row];
      const bool all_there = found.first_position == first && found.first_position + found.rows == last + 1;
      const Place at = comparison_.place(static_cast<int64_t>(row), "logits");
      comparison_.fact(Level::invariants, all_there, at,
                       fmt::format("row {}: logits of positions {} to {} came, not of {} to {}", row,
                                   found.first_position, found.first_position + found.rows - 1, first, last));
      if (!all_there) continue;
      const Trace& trace = comparison_.trace_of(held);
      for (int64_t position = first; position <= last; ++position) {
        const auto expected = trace.logits_at(position);
        if (expected.empty()) continue;
        const auto here = found.at(position);
        comparison_.compare(Level::logits, at, here, expected, found.vocab, trace.logits.allowed, position,
                            fmt::format("row {}'s logits", row));
        if (options_.metrics) options_.metrics->add(position, expected, here);
      }
    }
  }

  // --- twins: relations to the bit -------------------------------------------------------------------------------------

  void run_twin(const Twin& twin) {
    Caches caches;
    for (std::size_t i = 0; i < twin.steps.size(); ++i) {
      const CacheStep& step = twin.steps[i];
      standing_.step = static_cast<int64_t>(i);
      standing_.operation = step.describe() + ", done again";
      const Executed executed = execute(step, subject_, info_.can, caches, nullptr);
      check_refusal(step, executed);
      if (step.kind != CacheStep::Kind::forward || step.refused) continue;
      for (const int64_t row : twin.rows)
        compare_twin(twin, recorded_.at(standing_.step)[row], executed.logits[row], row);
    }
  }

  /// What two runs of a row may be apart where they need not give equal bits.
  double tolerated(int64_t row) { return comparison_.trace_of(standing_.own_rows()[row]).logits.allowed; }

  void compare_twin(const Twin& twin, const LogitRows& a, const LogitRows& b, int64_t row) {
    const int64_t last = std::min(a.first_position + a.rows, twin.before_position);
    for (int64_t position = a.first_position; position < last; ++position) {
      const bool same = same_bits(a.at(position).data(), b.at(position).data(), a.vocab) ||
                        (!options_.bitwise && max_distance(a.at(position), b.at(position)) <= tolerated(row));
      Place at = comparison_.place(row, "logits");
      at.position = position;
      comparison_.fact(Level::invariants, same, at,
                       fmt::format("row {}'s logits at position {} changed by {:.3g} although nothing they may depend "
                                   "on did",
                                   row, position, max_distance(a.at(position), b.at(position))));
    }
  }

  const Script& script_;
  ScenarioOutcome& outcome_;
  Subject& subject_;
  SubjectInfo info_;
  const DriveOptions& options_;
  Standing standing_;
  Comparison comparison_;
  SlotCheck slots_;
  std::map<int, std::string> last_change_;  // by cache: its last operation that was no forward, "truncate to 4"
  std::map<int64_t, std::vector<LogitRows>> recorded_;  // by step, for twins
};

}  // namespace

ScenarioOutcome drive(const Script& script, const std::string& name, uint64_t seed, Subject& subject, TraceBank& bank,
                      const DriveOptions& options) {
  ScenarioOutcome outcome;
  outcome.name = name;
  outcome.seed = seed;
  const int threads = subject.info().threads;
  if (script.threads > 0 && !options.use_threads) {
    outcome.skipped = "the number of threads cannot be changed here";
    return outcome;
  }
  Driver driver(script, outcome, subject, bank, options);
  try {
    if (script.threads > 0) options.use_threads(script.threads);
    driver.run();
  } catch (const std::exception& error) {
    outcome.broke_off = words_of(error);
    outcome.subject_broke = is_subject_error(error);
    driver.note_break(outcome.broke_off);
  }
  if (script.threads > 0) options.use_threads(threads);
  return outcome;
}

}  // namespace kvproof
