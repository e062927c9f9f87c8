#include "harness/verify/faults/self_test.h"

#include <fmt/format.h>

#include <memory>
#include <vector>

#include "harness/verify/behaviour/behaviour.h"
#include "harness/verify/behaviour/generators.h"
#include "harness/verify/faults/benign.h"
#include "harness/verify/faults/planted_engine.h"
#include "harness/verify/faults/shapes.h"
#include "harness/verify/scenarios/drive.h"
#include "harness/verify/scenarios/scenario.h"

namespace kvproof {
namespace {

constexpr double kSuiteSeconds = 60;  // by the estimate; the shapes are small: everything fits

/// A model to plant faults in, in float64.
struct Patient {
  Shape shape;
  Checkpoint checkpoint;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<Model> model, healthy;
  std::unique_ptr<Subject> reference;

  Patient(const Shape& s, const std::string& backend, uint64_t seed)
      : shape(s), checkpoint(make_shape(s, seed)), tokenizer(tokenizer_of_size(checkpoint.dims.vocab_size)),
        model(make_model(checkpoint, {backend, "float64", "cpu"})),
        healthy(make_model(checkpoint, {"aten", "float64", "cpu"})),
        reference(make_in_process_subject(*healthy, tokenizer.get())) {}

  FaultContext context() const { return fault_context(*model, tokenizer != nullptr); }
};

/// What verification of the patient with the fault in it finds.
std::vector<ScenarioOutcome> examine(const Fault& fault, Patient& patient, uint64_t seed) {
  const PlantedFault planted(fault, *patient.model, patient.context());
  const auto subject = planted.wrap(make_in_process_subject(*patient.model, patient.tokenizer.get()));
  const SubjectInfo info = subject->info();
  std::vector<ScenarioOutcome> outcomes;
  TraceBank bank(*patient.reference, nullptr, {"float64", 0});
  for (const std::string& name : cache_suite(info, Depth::quick, kSuiteSeconds, false).scenarios)
    outcomes.push_back(drive(make_script(parse_scenario(name), info, seed), name, seed, *subject, bank, {}));

  BehaviourTarget target{*subject, *patient.reference, info.vocab_size, info.rotary_len};
  target.tokenizer = patient.tokenizer.get();
  target.specials = patient.tokenizer ? &patient.tokenizer->special() : nullptr;
  target.kv_bytes_per_token = 2 * info.n_layer * info.n_kv_head * info.head_dim * 8;
  for (const std::string& name :
       behaviour_suite(false, {info.dtype, info.vocab_size, info.rotary_len, patient.tokenizer != nullptr}))
    outcomes.push_back(run_behaviour(name, seed, target));
  if (fault.class_ != "generation") return outcomes;

  GeneratorBench bench;  // stop tokens and tools can be staged there
  const PlantedFault in_bench(fault, bench.model(), patient.context());
  const auto staged = in_bench.wrap(bench.fresh_subject());
  for (ScenarioOutcome& outcome : run_generators(seed, bench, staged.get())) outcomes.push_back(std::move(outcome));
  return outcomes;
}

Json matrix_row(const Fault& fault, const Patient& patient, const std::vector<ScenarioOutcome>& outcomes) {
  Json levels = Json::array();
  for (const Level level : kLevels) {
    bool failed = false;
    for (const ScenarioOutcome& outcome : outcomes) failed |= outcome.level(level).failures > 0;
    if (failed) levels.push_back(level_code(level));
  }
  int64_t failed = 0;
  for (const ScenarioOutcome& outcome : outcomes) failed += outcome.failed();
  const auto divergence = localise(outcomes);
  const FaultPlace place = fault.place(patient.context());
  Json row = {{"name", fault.name}, {"class", fault.class_}, {"summary", fault.summary}, {"model", patient.shape.spec}};
  row["killed"] = failed > 0;
  row["levels"] = levels;
  row["cheapest"] = levels.empty() ? Json(nullptr) : levels.front();
  row["scenarios_failed"] = failed;
  row["scenarios"] = outcomes.size();
  row["place"] = fault_place_json(place);
  row["localised"] = divergence && points_at(place, *divergence);
  row["suspect"] = divergence ? Json(to_string(divergence->suspect)) : Json(nullptr);
  row["first_divergence"] = nullptr;
  if (divergence) {
    const Place& p = divergence->finding.place;
    row["first_divergence"] = {{"scenario", divergence->scenario},
                               {"operation", p.operation},
                               {"stage", p.stage},
                               {"tensor", p.tensor},
                               {"layer", p.layer == kNowhere ? Json(nullptr) : Json(p.layer)},
                               {"hint", divergence->hint},
                               {"evidence", divergence->evidence}};
  }
  return row;
}

}  // namespace

Json run_self_test(const SelfTestOptions& options) {
  const auto tell = [&](const std::string& stage) {
    if (options.progress) options.progress(stage);
  };
  std::vector<std::unique_ptr<Patient>> patients;
  for (const Shape& shape : shapes()) patients.push_back(std::make_unique<Patient>(shape, options.backend, options.seed));
  Json matrix = Json::array();
  int64_t killed = 0, localised = 0;
  for (const Fault& fault : faults()) {
    for (const auto& patient : patients) {
      if (!fault.not_applicable(patient->context()).empty()) continue;
      tell(fmt::format("[{}/{}] {}", matrix.size() + 1, faults().size(), fault.name));
      matrix.push_back(matrix_row(fault, *patient, examine(fault, *patient, options.seed)));
      killed += matrix.back().at("killed").get<bool>();
      localised += matrix.back().at("localised").get<bool>();
      break;
    }
  }
  const BenignSummary benign = run_benign(options.benign_runs, options.backend, options.seed, [&](int64_t run) {
    if (run % 10 == 0) tell(fmt::format("[{}/{}] harmless runs", run, options.benign_runs));
  });
  const auto planted = static_cast<int64_t>(matrix.size()), all = static_cast<int64_t>(faults().size());
  Json out = {{"schema", {{"name", "kvproof-self-test"}, {"version", 1}}},
              {"backend", options.backend},
              {"seed", options.seed},
              {"faults", all},
              {"planted", planted},
              {"killed", killed},
              {"localised", localised},
              {"benign_runs", benign.runs},
              {"false_alarms", benign.alarms.size()}};
  out["alarms"] = benign.alarms;
  out["passed"] = killed == all && 10 * localised >= 9 * all && benign.alarms.empty();
  out["matrix"] = std::move(matrix);
  return out;
}

}  // namespace kvproof
