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

namespace kvproof {
namespace {

constexpr double kQuickOracle = 6e8, kFullOracle = 1e10;           // floating-point operations
constexpr double kOracleFlopsPerSecond = 2e9, kOracleShare = 0.2;  // of the time

/// One dtype's side of the check: a subject, and what its numbers are held against.
struct Side {
  Subject& subject;
  Subject* exact;  // null: the subject is its own reference
  SubjectInfo info;
  Gate gate;
};

class Verification {
 public:
  Verification(const VerifyTarget& target, const VerifyOptions& options) : t_(target), options_(options) {
    report_.subject = t_.tested.info();
    report_.options = options;
  }

  VerifyReport run() {
    if (options_.only.empty()) {
      check_the_model();
      run_sides();
    } else {
      run_named();
    }
    report_.first_divergence = localise(report_.outcomes);
    conclude();
    return std::move(report_);
  }

 private:
  bool full() const { return options_.depth == Depth::full; }
  double seconds() const { return options_.seconds > 0 ? options_.seconds : full() ? kFullSeconds : kQuickSeconds; }
  /// What is left for scenarios of caches when the model and the calibrations have had their share.
  double scenario_seconds() const {
    const SubjectInfo& info = report_.subject;
    const double forwards = 25 + 4 * static_cast<double>(info.n_layer), sides = t_.logic ? 2 : 1;
    return std::max(0.0, seconds() - sides * forwards * estimated_forward_seconds(info) -
                             oracle_flops_allowed() / kOracleFlopsPerSecond);
  }
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
      uncovered("the model against the oracle: there is no checkpoint of ours");
      return;
    }
    tell("the model against the oracle");
    try {
      report_.model = check_model(*t_.checkpoint, t_.overrides, exact_subject(), options_.seed, oracle_flops_allowed());
      for (const std::string& what : report_.model->not_covered) uncovered(what);
    } catch (const std::exception& error) {
      report_.model_error = error.what();
    }
  }

  // --- the cache -----------------------------------------------------------------------------------------------------

  Side logic_side() const { return {logic_subject(), nullptr, logic_subject().info(), {"float64", 0}}; }
  /// The dtype under test where that is not what the logic is judged in.
  std::optional<Side> rounding_side(double factor) const {
    if (!t_.logic) return std::nullopt;
    const SubjectInfo info = t_.tested.info();
    return Side{t_.tested, &exact_subject(), info, {info.dtype, factor}};
  }

  void run_sides() {
    calibrate_side(logic_subject(), nullptr);
    const double share = t_.logic ? 0.7 : 1;
    run_suite(logic_side(), cache_suite(logic_subject().info(), options_.depth, share * scenario_seconds(), false));
    if (t_.own_engine && options_.behaviour) run_scripted();
    if (options_.behaviour) run_behaviours(logic_side());
    if (!options_.behaviour) uncovered("the generators: kvproof verify checks them");
    if (!t_.logic) return;
    calibrate_side(t_.tested, &exact_subject());
    const Side side = *rounding_side(factor());
    run_suite(side, cache_suite(side.info, options_.depth, (1 - share) * scenario_seconds(), true));
    if (options_.behaviour) run_behaviours(side);
    if (is_half(side.info.dtype))
      uncovered(
          fmt::format("structure in {} alone: its rounding hides small faults, so the same code was judged in float64",
                      side.info.dtype));
  }

  void calibrate_side(Subject& subject, Subject* exact) {
    tell("calibration, " + subject.info().dtype);
    try {
      report_.calibrations.push_back(calibrate({subject, exact, t_.use_key_blocks}, options_.seed));
    } catch (const std::exception& error) {
      ScenarioOutcome outcome;
      outcome.name = "calibration/" + subject.info().dtype;
      outcome.seed = options_.seed;
      outcome.broke_off = error.what();
      report_.outcomes.push_back(std::move(outcome));
    }
  }

  /// R's limit in the dtype under test.
  double factor() const {
    const Calibration* c = report_.calibrations.empty() ? nullptr : &report_.calibrations.back();
    return c && c->dtype == t_.tested.info().dtype ? c->gate : kErrorRatioGate;
  }

  void run_suite(const Side& side, const Suite& suite) {
    for (const std::string& what : suite.not_covered) uncovered(side.info.dtype + ": " + what);
    report_.longest = std::max(report_.longest, suite.longest);
    TraceBank bank(side.subject, side.exact, side.gate);
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
    DriveOptions drive_options{t_.use_threads, nullptr};
    if (side.info.dtype == report_.subject.dtype) drive_options.metrics = &metrics_;
    report_.outcomes.push_back(drive(script, name, options_.seed, side.subject, bank, drive_options));
    if (!report_.outcomes.back().skipped.empty()) uncovered(name + ": " + report_.outcomes.back().skipped);
  }

  // --- the generators --------------------------------------------------------------------------------------------------

  BehaviourTarget behaviour_target(const Side& side) const {
    BehaviourTarget target{side.subject, side.exact ? *side.exact : side.subject};
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
    const auto names = affordable(
        behaviour_suite(full(), {side.info.dtype, side.info.vocab_size, side.info.rotary_len, t_.tokenizer != nullptr}),
        side);
    for (std::size_t i = 0; i < names.size(); ++i) {
      tell(names[i], i + 1, names.size());
      report_.outcomes.push_back(run_behaviour(names[i], options_.seed, behaviour_target(side)));
    }
    if (!t_.tokenizer) uncovered("stop tokens and tools on this model: it has no tokenizer");
  }

  /// The first of them, two at least, that fit into the time.
  std::vector<std::string> affordable(std::vector<std::string> names, const Side& side) {
    constexpr double kForwards = 25;  // of one scenario, roughly
    const auto most =
        static_cast<std::size_t>(std::max(2.0, seconds() / (kForwards * estimated_forward_seconds(side.info))));
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
      if (name.dtype != logic_subject().info().dtype && name.dtype != report_.subject.dtype)
        throw ArgumentError("--only", fmt::format("{}: this run has {} and {}; choose with --dtype", text,
                                                  logic_subject().info().dtype, report_.subject.dtype));
      const bool logic = name.dtype == logic_subject().info().dtype;
      if (!logic && report_.calibrations.empty()) calibrate_side(t_.tested, &exact_subject());
      const Side side = logic ? logic_side() : *rounding_side(factor());
      if (is_behaviour(name.kind)) {
        run_named_behaviour(text, side);
      } else {
        TraceBank bank(side.subject, side.exact, side.gate);
        run_cache(side, bank, text);
      }
    }
    uncovered("everything but the scenarios that were asked for");
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

  bool model_failed() const {
    return !report_.model_error.empty() || (report_.vectors && report_.vectors->tally.failures > 0) ||
           (report_.model && report_.model->constants.failures + report_.model->logits.failures > 0);
  }

  void conclude() {
    report_.logits = metrics_.summary();
    if (model_failed()) report_.wrong.push_back("model");
    if (const auto& d = report_.first_divergence) {
      const bool generation = d->suspect == Suspect::generation || d->suspect == Suspect::sampling;
      report_.wrong.push_back(generation ? "generation" : "cache");
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
    std::string text;
    if (model_failed()) {
      text = "model wrong: what this engine computes is not what nanochat does";
      const std::vector<Finding>* findings =
          report_.vectors && !report_.vectors->findings.empty() ? &report_.vectors->findings
          : report_.model && !report_.model->findings.empty()   ? &report_.model->findings
                                                                : nullptr;
      if (findings) text += " (" + findings->front().place.operation + ": " + findings->front().message + ")";
      if (!report_.model_error.empty()) text += " (" + report_.model_error + ")";
    }
    if (const auto& d = report_.first_divergence) {
      if (!text.empty()) text += "; ";
      text += (report_.wrong.back() == "generation" ? "generation wrong: " : "cache wrong: ") + d->hint;
    }
    return text;
  }

  const VerifyTarget& t_;
  const VerifyOptions& options_;
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

VerifyReport verify(const VerifyTarget& target, const VerifyOptions& options) {
  return Verification(target, options).run();
}

}  // namespace kvproof
