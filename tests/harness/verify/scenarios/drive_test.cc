// The engine as it is passes every kind of scenario, on models whose every part matters.
#include "harness/verify/scenarios/drive.h"

#include "engine/model/model.h"
#include "harness/verify/scenarios/scenario.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

const std::vector<std::string> kOneOfEachKind = {"prefill[1]",
                                                 "prefill[9]",
                                                 "decode[1,9]",
                                                 "decode[7,3]",
                                                 "chunks[1,7]",
                                                 "chunks[3,1,4]",
                                                 "ones[8]",
                                                 "batch[3,5,3]",
                                                 "ragged[1,4,9]",
                                                 "clone[3,7,3]",
                                                 "diverge[2,6]",
                                                 "shuffle[3,6,2]",
                                                 "retain[4,6]",
                                                 "truncate[9,4,4]",
                                                 "truncate[4,0,4]",
                                                 "truncate_row[3,8,2]",
                                                 "reset[9,3]",
                                                 "reset[3,9]", "reset_batch[3,6,2]", "uneven[3,4]", "batch_chunks[2,4,3]",
                                                 "grow[4,3]",
                                                 "capacity[1]",
                                                 "capacity[6]",
                                                 "poison[4,4]",
                                                 "interleave[5,3]",
                                                 "over_allocated[5,3]",
                                                 "rotary[640]",
                                                 "replay[3,5,2]",
                                                 "row_independence[3,5,2]",
                                                 "causality[4,6]"};

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
