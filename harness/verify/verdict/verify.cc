#include "harness/verify/verdict/verify.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "harness/error.h"
#include "harness/verify/behaviour/behaviour.h"
#include "harness/verify/behaviour/generators.h"
#include "harness/verify/scenarios/drive.h"
#include "harness/verify/scenarios/scenario.h"
#include "harness/verify/verdict/budget.h"
#include "harness/verify/verdict/compare_models.h"
#include "harness/verify/verdict/conclude.h"
#include "harness/verify/verdict/sides.h"

namespace kvproof {
namespace {

class Verification {
 public:
  Verification(const VerifyTarget& target, const VerifyOptions& options)
      : t_(target), options_(options), budget_(target, options), sides_(sides_of(target)) {
    report_.subject = t_.tested.info();
    report_.options = options;
  }

  VerifyReport run() {
    if (options_.only.empty()) {
      check_the_model();
      run_sides();
      if (!t_.own_engine) note_hidden_levels();
    } else {
      run_named();
    }
    report_.logits = metrics_.summary();
    conclude(report_, t_.own_engine);
    return std::move(report_);
  }

 private:
  bool full() const { return options_.depth == Depth::full; }
  void tell(const std::string& stage, std::size_t done = 0, std::size_t total = 0) const {
    if (options_.progress) options_.progress(stage, static_cast<int64_t>(done), static_cast<int64_t>(total));
  }
  void uncovered(const std::string& what) {
    if (std::find(report_.not_covered.begin(), report_.not_covered.end(), what) == report_.not_covered.end())
      report_.not_covered.push_back(what);
  }

  // --- the model -----------------------------------------------------------------------------------------------------

  void check_the_model() {
    if (t_.own_engine && !options_.vectors) uncovered("Python's vectors: kvproof verify compares them");
    if (t_.own_engine && options_.vectors) {
      tell("Python's vectors");
      report_.vectors = check_vectors();
      for (const std::string& what : report_.vectors->not_covered) uncovered(what);
    }
    if (!t_.checkpoint) {
      uncovered(t_.own_engine ? "the model against the oracle: there is no checkpoint of ours"
                              : "whether the subject's model is the right one: no checkpoint was given that our engine "
                                "could compute it from; only its cache was held against its own uncached path");
      return;
    }
    tell("the model against the oracle");
    try {
      Subject& exact = t_.ours ? t_.ours->exact : exact_subject(t_);
      report_.model = check_model(*t_.checkpoint, t_.overrides, exact, options_.seed, budget_.oracle_flops());
      for (const std::string& what : report_.model->not_covered) uncovered(what);
      if (t_.ours) check_against_ours();
    } catch (const std::exception& error) {
      report_.model_error = error.what();
    }
  }

  void check_against_ours() {
    if (!report_.subject.can.has(Ability::uncached))
      return uncovered("the subject's model by itself: it has no uncached path; its cache was held against our engine");
    tell("the subject's model against ours");
    report_.against_ours =
        compare_models(t_.tested, t_.ours->naive, t_.ours->exact, options_.seed, 0.1 * budget_.seconds() / t_.slowness);
    for (const std::string& what : report_.against_ours->not_covered) uncovered(what);
  }

  // --- the cache -----------------------------------------------------------------------------------------------------

  void run_sides() {
    double share = t_.logic ? 0.7 : 1;
    for (VerifySide& side : sides_) {
      calibrate_side(side);
      const SubjectInfo info = side.info;
      run_suite(side, cache_suite(info, options_.depth, share * budget_.scenario_seconds(), side.numerics));
      if (t_.own_engine && options_.behaviour && &side == &sides_.front()) run_scripted();
      if (options_.behaviour) run_behaviours(side);
      share = 1 - share;
    }
    if (!options_.behaviour) uncovered("the generators: kvproof verify checks them");
    const std::string& dtype = report_.subject.dtype;
    if (!is_half(dtype)) return;
    uncovered(t_.logic ? fmt::format("structure in {} alone: its rounding hides small faults, so the same code was "
                                     "judged in float64",
                                     dtype)
                       : fmt::format("structure: in {} rounding hides small faults, and the subject does not run in "
                                     "float64 or float32",
                                     dtype));
  }

  void calibrate_side(VerifySide& side) {
    tell("calibration, " + side.info.dtype);
    try {
      report_.calibrations.push_back(calibrate(calibration_of(side, t_), options_.seed));
      if (!side.gate.exact()) side.gate.factor = report_.calibrations.back().gate;
    } catch (const std::exception& error) {
      ScenarioOutcome outcome;
      outcome.name = "calibration/" + side.info.dtype;
      outcome.seed = options_.seed;
      outcome.broke_off = words_of(error);
      outcome.subject_broke = is_subject_error(error);
      report_.outcomes.push_back(std::move(outcome));
    }
  }

  /// What no scenario could look at, because the subject shows no more.
  void note_hidden_levels() {
    if (!report_.subject.can.has(Ability::read_slots))
      uncovered("keys and values (L3): the subject does not show its slots (read_slots)");
    uncovered("what flows between the operations (L4) and who shares storage (L0): the protocol shows neither");
    if (!report_.subject.can.has(Ability::generate))
      uncovered("the subject's own generation: it does not answer generate");
  }

  void run_suite(const VerifySide& side, const Suite& suite) {
    for (const std::string& what : suite.not_covered) uncovered(side.info.dtype + ": " + what);
    report_.longest = std::max(report_.longest, suite.longest);
    TraceBank bank(side.naive, side.exact, side.gate);
    for (std::size_t i = 0; i < suite.scenarios.size(); ++i) {
      tell(suite.scenarios[i], i + 1, suite.scenarios.size());
      run_cache(side, bank, suite.scenarios[i]);
    }
    if (bank.sampled() > 0)
      uncovered(
          fmt::format("{}: logits of {} long sequences at every position (a sample was compared: window edges, ends, "
                      "evenly between)",
                      side.info.dtype, bank.sampled()));
  }

  void run_cache(const VerifySide& side, TraceBank& bank, const std::string& name) {
    const Script script = make_script(parse_scenario(name), side.info, options_.seed);
    const Abilities needed = needs(script, side.info.rotary_len);
    if (const auto missing = side.info.can.missing(needed); !missing.empty())
      throw ArgumentError("--only", fmt::format("{}: this subject does not do {} ({})", name,
                                                word_of(missing.front()).word, word_of(missing.front()).meaning));
    // What lies where in another engine's cache may differ from run to run, and with it the order of its sums.
    DriveOptions drive_options{t_.use_threads, nullptr, t_.own_engine};
    if (side.info.dtype == report_.subject.dtype) drive_options.metrics = &metrics_;
    report_.outcomes.push_back(drive(script, name, options_.seed, side.subject, bank, drive_options));
    report_.outcomes.back().latent = !side.info.generate_uses.contains(needed);
    if (!report_.outcomes.back().skipped.empty()) uncovered(name + ": " + report_.outcomes.back().skipped);
  }

  // --- the generators --------------------------------------------------------------------------------------------------

  BehaviourTarget behaviour_target(const VerifySide& side) const {
    BehaviourTarget target{side.subject, side.exact ? *side.exact : side.naive};
    target.vocab_size = side.info.vocab_size;
    target.rotary_len = side.info.rotary_len;
    target.tokenizer = t_.tokenizer;
    target.specials = t_.tokenizer ? &t_.tokenizer->special() : nullptr;
    if (t_.own_engine) {
      const int64_t bytes = side.info.dtype == "float64" ? 8 : is_half(side.info.dtype) ? 2 : 4;
      target.kv_bytes_per_token = 2 * side.info.n_layer * side.info.n_kv_head * side.info.head_dim * bytes;
    }
    return target;
  }

  void run_behaviours(const VerifySide& side) {
    const BehaviourFacts facts{side.info.dtype, side.info.vocab_size, side.info.rotary_len, t_.tokenizer != nullptr};
    const auto names = affordable(
        t_.own_engine ? behaviour_suite(full(), facts) : foreign_behaviour_suite(facts, side.info.can), side);
    for (std::size_t i = 0; i < names.size(); ++i) {
      tell(names[i], i + 1, names.size());
      report_.outcomes.push_back(run_behaviour(names[i], options_.seed, behaviour_target(side)));
    }
    if (t_.own_engine && !t_.tokenizer) uncovered("stop tokens and tools on this model: it has no tokenizer");
  }

  /// The first of them, two at least, that fit into the time.
  std::vector<std::string> affordable(std::vector<std::string> names, const VerifySide& side) {
    constexpr double kForwards = 25;  // of one scenario, roughly
    const auto most =
        static_cast<std::size_t>(std::max(2.0, budget_.seconds() / (kForwards * budget_.forward_seconds(side.info))));
    if (names.size() <= most) return names;
    const std::vector<std::string> left_out(names.begin() + static_cast<std::ptrdiff_t>(most), names.end());
    uncovered(
        fmt::format("{} scenarios of generators, left out for time: {}", left_out.size(), fmt::join(left_out, ", ")));
    names.resize(most);
    return names;
  }

  void run_scripted() {
    tell("the generators on a scripted model");
    GeneratorBench bench;
    for (ScenarioOutcome& outcome : run_generators(options_.seed, bench))
      report_.outcomes.push_back(std::move(outcome));
  }

  // --- by name ---------------------------------------------------------------------------------------------------------

  void run_named() {
    for (const std::string& text : options_.only) {
      const ScenarioName name = parse_scenario(text);
      tell(text);
      if (is_scripted(text)) {
        GeneratorBench bench;
        report_.outcomes.push_back(run_behaviour(text, options_.seed, bench.target()));
        continue;
      }
      VerifySide& side = side_of(name.dtype, text);
      if (side.numerics && report_.calibrations.empty()) calibrate_side(side);
      if (is_behaviour(name.kind)) {
        run_named_behaviour(text, side);
      } else {
        TraceBank bank(side.naive, side.exact, side.gate);
        run_cache(side, bank, text);
      }
    }
    uncovered("everything but the scenarios that were asked for");
  }

  VerifySide& side_of(const std::string& dtype, const std::string& scenario) {
    std::vector<std::string> known;
    for (VerifySide& side : sides_) {
      if (side.info.dtype == dtype) return side;
      known.push_back(side.info.dtype);
    }
    throw ArgumentError("--only",
                        fmt::format("{}: this run has {}; choose with --dtype", scenario, fmt::join(known, " and ")));
  }

  /// Whether a suite runs it on the scripted model, not on the one that is verified.
  bool is_scripted(const std::string& text) const {
    const auto listed = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), text) != names.end();
    };
    const SubjectInfo info = logic_subject(t_).info();
    return t_.own_engine && listed(generators()) &&
           !listed(behaviour_suite(true, {info.dtype, info.vocab_size, info.rotary_len, t_.tokenizer != nullptr}));
  }

  void run_named_behaviour(const std::string& text, const VerifySide& side) {
    try {
      report_.outcomes.push_back(run_behaviour(text, options_.seed, behaviour_target(side)));
    } catch (const ArgumentError& error) {
      throw ArgumentError("--only", fmt::format("{}: {}", text, error.message()));
    }
  }

  const VerifyTarget& t_;
  const VerifyOptions& options_;
  Budget budget_;
  std::vector<VerifySide> sides_;
  VerifyReport report_;
  LogitMetrics metrics_;
};

}  // namespace

std::string to_string(VerifyVerdict verdict) {
  switch (verdict) {
    case VerifyVerdict::pass:
      return "PASS";
    case VerifyVerdict::fail:
      return "FAIL";
    case VerifyVerdict::inconclusive:
      return "INCONCLUSIVE";
  }
  throw std::logic_error("a verdict without a name");
}

LevelTally VerifyReport::level(Level level) const {
  LevelTally sum;
  for (const ScenarioOutcome& outcome : outcomes) sum.merge(outcome.level(level));
  return sum;
}

std::vector<std::string> VerifyReport::failed(bool latent) const {
  std::vector<std::string> names;
  for (const ScenarioOutcome& outcome : outcomes)
    if (outcome.failed() && outcome.latent == latent) names.push_back(outcome.name);
  return names;
}

VerifyReport verify(const VerifyTarget& target, const VerifyOptions& options) {
  return Verification(target, options).run();
}

}  // namespace kvproof
