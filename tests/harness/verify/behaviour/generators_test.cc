// Our own generators keep their promises on the scripted model, and on a small real one.
#include "harness/verify/behaviour/generators.h"

#include <chrono>

#include "engine/error.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;
using Catch::Matchers::Contains;

namespace {

void report(const ScenarioOutcome& outcome) {
  CAPTURE(outcome.name, outcome.seed, outcome.broke_off);
  for (const Finding& f : outcome.findings)
    UNSCOPED_INFO(f.place.operation << " step " << f.place.step << " row " << f.place.row << ": " << f.message << " ("
                                    << f.evidence << ")");
  CHECK_FALSE(outcome.failed());
}

}  // namespace

TEST_CASE("our generators keep their promises on the scripted model", "[behaviour]") {
  GeneratorBench bench;
  for (const uint64_t seed : {1, 2, 3, 4, 5}) {
    int64_t checks = 0;
    for (const ScenarioOutcome& outcome : run_generators(seed, bench)) {
      report(outcome);
      CHECK(outcome.level(Level::behaviour).checks > 0);
      checks += outcome.level(Level::behaviour).checks;
    }
    CHECK(checks > 1000);
  }
}
