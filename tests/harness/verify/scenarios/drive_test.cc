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
