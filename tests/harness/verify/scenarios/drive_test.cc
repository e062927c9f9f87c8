// The engine as it is passes every kind of scenario, on models whose every part matters.
#include "harness/verify/scenarios/drive.h"

#include "engine/model/model.h"
#include "harness/verify/scenarios/scenario.h"
#include "tests/harness/verify/scenarios/each_kind.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

struct Models {
  Checkpoint checkpoint;
  std::unique_ptr<Model> exact, tested;
  std::unique_ptr<Subject> exact_subject, subject;

  explicit Models(const std::string& fields, const std::string& dtype)
      : checkpoint(small_checkpoint(fields)), exact(make_model(checkpoint, {"auto", "float64", "cpu"})),
        tested(make_model(checkpoint, {"auto", dtype, "cpu"})), exact_subject(make_in_process_subject(*exact, nullptr)),
        subject(make_in_process_subject(*tested, nullptr)) {}
};

ScenarioOutcome run(Models& models, const std::string& name, const std::string& dtype) {
  const SubjectInfo info = models.subject->info();
  TraceBank bank(*models.subject, dtype == "float64" ? nullptr : models.exact_subject.get(), {dtype, kErrorRatioGate});
  const ScenarioName parsed = parse_scenario(name + "/" + dtype);
  return drive(make_script(parsed, info, 1), parsed.text(), 1, *models.subject, bank, {});
}

}  // namespace

TEST_CASE("the engine passes every kind of scenario", "[scenarios]") {
  const std::string dtype = GENERATE("float64", "float32");
  Models models("", dtype);
  for (const std::string& name : kOneOfEachKind) {
    const ScenarioOutcome outcome = run(models, name, dtype);
    CAPTURE(name, dtype, outcome.broke_off);
    for (const Finding& finding : outcome.findings) UNSCOPED_INFO(level_code(finding.level) << " " << finding.message);
    CHECK(!outcome.failed());
  }
}

TEST_CASE("errors are kept by position and level, the largest of them is the level's", "[scenarios]") {
  Models models("", "float32");
  const ScenarioOutcome outcome = run(models, "decode[7,9]", "float32");
  const auto positions_of = [&](Level level) {
    std::vector<int64_t> positions;
    for (const auto& [position, error] : outcome.errors_of(level)) positions.push_back(position);
    return positions;
  };
  CHECK(positions_of(Level::logits) == std::vector<int64_t>{6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
  CHECK(positions_of(Level::keys_values) ==
        std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
  CHECK(positions_of(Level::behaviour).empty());
  for (const Level level : {Level::logits, Level::keys_values, Level::side_state}) {
    double worst = 0;
    for (const auto& [position, error] : outcome.errors_of(level)) worst = std::max(worst, error);
    CAPTURE(level_name(level));
    CHECK(worst == outcome.level(level).worst_error);
    CHECK(worst > 0);
  }
}
