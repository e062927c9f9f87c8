#include "harness/verify/verdict/verify.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "engine/error.h"
#include "harness/verify/behaviour/behaviour.h"
#include "harness/verify/behaviour/generators.h"
#include "harness/verify/scenarios/drive.h"
#include "harness/verify/scenarios/scenario.h"
#include "harness/verify/verdict/compare_models.h"

namespace kvproof {
namespace {

constexpr double kQuickOracle = 6e8, kFullOracle = 1e10;           // floating-point operations
constexpr double kOracleFlopsPerSecond = 2e9, kOracleShare = 0.2;  // of the time

/// One dtype's side of the check: a subject, and what its numbers are held against.
struct Side {
  Subject& subject;
  Subject& naive;  // its uncached path, or ours
  Subject* exact;  // float64; null: the naive path is its own reference
  SubjectInfo info;
  Gate gate;
  bool numerics = false;  // the same code's logic is judged in float64, on another side

  CalibrationTarget calibration(const VerifyTarget& t) const {
    return {subject, exact, t.use_key_blocks, &naive, gate.dtype, !t.own_engine && !numerics};
  }
};

class Verification {
 public:
  Verification(const VerifyTarget& target, const VerifyOptions& options) : t_(target), options_(options) {
    report_.subject = t_.tested.info();
    report_.options = options;
    all_sides_ = sides();
  }

  VerifyReport run() {
    if (options_.only.empty()) {
      check_the_model();
      run_sides();
      if (!t_.own_engine) note_hidden_levels();
    } else {
      run_named();
    }
    localise_failures();
    conclude();
    return std::move(report_);
  }

 private:
  bool full() const { return options_.depth == Depth::full; }
  double seconds() const {
    if (options_.seconds > 0) return options_.seconds;
    if (t_.own_engine) return full() ? kFullSeconds : kQuickSeconds;
    return full() ? kFullForeignSeconds : kQuickForeignSeconds;
  }
  /// What is left for scenarios of caches when the model and the calibrations have had their share.
  double scenario_seconds() const {
    const SubjectInfo& info = report_.subject;
    const double forwards = 25 + 4 * static_cast<double>(info.n_layer), sides = t_.logic ? 2 : 1;
    return std::max(0.0, seconds() - sides * forwards * forward_seconds(info) -
                             oracle_flops_allowed() / kOracleFlopsPerSecond) /
           t_.slowness;
  }
  double forward_seconds(const SubjectInfo& info) const { return t_.slowness * estimated_forward_seconds(info); }
  double oracle_flops_allowed() const {
    return std::min(full() ? kFullOracle : kQuickOracle, kOracleShare * seconds() * kOracleFlopsPerSecond);
  }
  void tell(const std::string& stage, std::size_t done = 0, std::size_t total = 0) const {
    if (options_.progress) options_.progress(stage, static_cast<int64_t>(done), static_cast<int64_t>(total));
  }
  void uncovered(const std::string& what) {
    if (std::find(report_.not_covered.begin(), report_.not_covered.end(), what) == report_.not_covered.end())
      report_.not_covered.push_back(what);
  }

  Subject& logic_subject() const { return t_.logic ? *t_.logic : t_.tested; }
  Subject& exact_subject() const { return t_.exact ? *t_.exact : logic_subject(); }

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
      Subject& exact = t_.ours ? t_.ours->exact : exact_subject();
      report_.model = check_model(*t_.checkpoint, t_.overrides, exact, options_.seed, oracle_flops_allowed());
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
        compare_models(t_.tested, t_.ours->naive, t_.ours->exact, options_.seed, 0.1 * seconds() / t_.slowness);
    for (const std::string& what : report_.against_ours->not_covered) uncovered(what);
  }

  // --- the cache -----------------------------------------------------------------------------------------------------

  /// Float64's first, where there is one.
  std::vector<Side> sides() const {
    const SubjectInfo tested = t_.tested.info();
    if (t_.cache_against_ours) {
      // Two engines in float64 may differ by float32 tables: the coarser gate is theirs.
      const std::string dtype = tested.dtype == "float64" ? "float32" : tested.dtype;
      return {{t_.tested, t_.ours->naive, &t_.ours->exact, tested, {dtype, kErrorRatioGate}}};
    }
    std::vector<Side> all;
    if (t_.logic || tested.dtype == "float64")
      all.push_back({logic_subject(), logic_subject(), nullptr, logic_subject().info(), {"float64", 0}});
    if (t_.logic)
      all.push_back({t_.tested, t_.tested, &exact_subject(), tested, {tested.dtype, kErrorRatioGate}, true});
    else if (all.empty())
      all.push_back({t_.tested, t_.tested, nullptr, tested, {tested.dtype, kErrorRatioGate}});
    return all;
  }

  void run_sides() {
    if (t_.own_engine && options_.behaviour) scripted_due_ = true;
    double share = t_.logic ? 0.7 : 1;
    for (Side& side : all_sides_) {
      calibrate_side(side);
      const SubjectInfo info = side.info;
      run_suite(side, cache_suite(info, options_.depth, share * scenario_seconds(), side.numerics));
      if (std::exchange(scripted_due_, false)) run_scripted();
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

  void calibrate_side(Side& side) {
    tell("calibration, " + side.info.dtype);
    try {
      report_.calibrations.push_back(calibrate(side.calibration(t_), options_.seed));
      if (!side.gate.exact()) side.gate.factor = report_.calibrations.back().gate;
    } catch (const std::exception& error) {
      ScenarioOutcome outcome;
      outcome.name = "calibration/" + side.info.dtype;
      outcome.seed = options_.seed;
      outcome.broke_off = error.what();
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

  void run_suite(const Side& side, const Suite& suite) {
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

  void run_cache(const Side& side, TraceBank& bank, const std::string& name) {
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

  BehaviourTarget behaviour_target(const Side& side) const {
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

  void run_behaviours(const Side& side) {
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
  std::vector<std::string> affordable(std::vector<std::string> names, const Side& side) {
    constexpr double kForwards = 25;  // of one scenario, roughly
    const auto most = static_cast<std::size_t>(std::max(2.0, seconds() / (kForwards * forward_seconds(side.info))));
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
      Side& side = side_of(name.dtype, text);
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

  Side& side_of(const std::string& dtype, const std::string& scenario) {
    std::vector<std::string> known;
    for (Side& side : all_sides_) {
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
    const SubjectInfo info = logic_subject().info();
    return t_.own_engine && listed(generators()) &&
           !listed(behaviour_suite(true, {info.dtype, info.vocab_size, info.rotary_len, t_.tokenizer != nullptr}));
  }

  void run_named_behaviour(const std::string& text, const Side& side) {
    try {
      report_.outcomes.push_back(run_behaviour(text, options_.seed, behaviour_target(side)));
    } catch (const ArgumentError& error) {
      throw ArgumentError("--only", fmt::format("{}: {}", text, error.message()));
    }
  }

  // --- the verdict -------------------------------------------------------------------------------------------------------

  void localise_failures() {
    std::vector<ScenarioOutcome> in_use, latent;
    for (const ScenarioOutcome& outcome : report_.outcomes) {
      if (!outcome.latent || !outcome.failed()) in_use.push_back(outcome);
      if (outcome.latent || !outcome.failed()) latent.push_back(outcome);
    }
    LocaliseFacts facts;
    facts.stages_shown = t_.own_engine;
    for (const int64_t window : report_.subject.windows)
      if (window < report_.subject.rotary_len) facts.windows.push_back(window);
    report_.first_divergence = localise(in_use, facts);
    report_.latent_divergence = localise(latent, facts);
  }

  static int64_t failures(const std::optional<ModelReport>& model) {
    return model ? model->constants.failures + model->logits.failures : 0;
  }
  bool model_failed() const {
    return !report_.model_error.empty() || (report_.vectors && report_.vectors->tally.failures > 0) ||
           failures(report_.model) + failures(report_.against_ours) > 0;
  }

  static std::string part_of(const Divergence& d) {
    const bool generation = d.suspect == Suspect::generation || d.suspect == Suspect::sampling;
    return generation ? "generation" : "cache";
  }

  void conclude() {
    report_.logits = metrics_.summary();
    if (model_failed()) report_.wrong.push_back("model");
    for (const auto* d : {&report_.first_divergence, &report_.latent_divergence}) {
      if (*d && std::count(report_.wrong.begin(), report_.wrong.end(), part_of(**d)) == 0)
        report_.wrong.push_back(part_of(**d));
    }
    if (!report_.wrong.empty()) {
      report_.verdict = VerifyVerdict::fail;
      report_.explanation = explain_failure();
      return;
    }
    std::string doubts;
    for (const Calibration& c : report_.calibrations)
      for (const std::string& doubt : c.doubts) doubts += (doubts.empty() ? "" : "; ") + c.dtype + ": " + doubt;
    if (!doubts.empty()) {
      report_.verdict = VerifyVerdict::inconclusive;
      report_.explanation = doubts;
      return;
    }
    report_.explanation =
        !options_.only.empty() ? "the scenarios asked for show no difference; only a whole run says more"
        : report_.not_covered.empty()
            ? "the cached output is that of recomputation, in every scenario, and a broken cache would have shown"
            : "the cached output is that of recomputation in every scenario that ran, and a cache broken there would "
              "have shown; what "
              "was not covered is listed";
  }

  std::string explain_failure() const {
    std::vector<std::string> parts;
    if (model_failed()) parts.push_back(explain_model());
    if (const auto& d = report_.first_divergence) parts.push_back(part_of(*d) + " wrong: " + d->hint);
    if (const auto& d = report_.latent_divergence)
      parts.push_back("latent: not reached by the subject's own generate: " + part_of(*d) + " wrong: " + d->hint);
    return fmt::format("{}", fmt::join(parts, "; "));
  }

  std::string explain_model() const {
    const bool foreign = failures(report_.against_ours) > 0 && failures(report_.model) == 0;
    std::string text = foreign
                           ? "model wrong: what the subject computes is not what our engine does on the same checkpoint"
                           : "model wrong: what this engine computes is not what nanochat does";
    for (const auto* findings :
         {report_.vectors ? &report_.vectors->findings : nullptr, report_.model ? &report_.model->findings : nullptr,
          report_.against_ours ? &report_.against_ours->findings : nullptr}) {
      if (!findings || findings->empty()) continue;
      text += " (" + findings->front().place.operation + ": " + findings->front().message + ")";
      break;
    }
    if (!report_.model_error.empty()) text += " (" + report_.model_error + ")";
    return text;
  }

  const VerifyTarget& t_;
  const VerifyOptions& options_;
  std::vector<Side> all_sides_;
  VerifyReport report_;
  bool scripted_due_ = false;
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
