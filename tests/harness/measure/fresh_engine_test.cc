#include "harness/measure/fresh_engine.h"

#include <cmath>

#include "harness/measure/own_cost.h"
#include "tests/harness/measure/scripted.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

using Lines = std::vector<std::string>;

CaseMeasurement measured(ManualProbe& probe) {
  ScriptedSubject subject = standard_subject(probe);
  RepetitionPolicy policy;
  policy.repetitions = 2;
  return measure_repetitions(subject, request_of_rows(1), policy, probe);
}

/// What a fresh engine shows that is standard but for what `change` does to it.
template <class Change>
Lines faults_of(Change change) {
  ManualProbe probe;
  const CaseMeasurement before = measured(probe);
  ScriptedSubject fresh = standard_subject(probe);
  change(fresh);
  return fresh_engine_faults(fresh, request_of_rows(1), before, probe);
}

}  // namespace

TEST_CASE("a fresh engine that gives the same is no fault, and naive is asked for its first token alone", "[fresh]") {
  ManualProbe probe;
  const CaseMeasurement before = measured(probe);
  ScriptedSubject fresh = standard_subject(probe);
  CHECK(fresh_engine_faults(fresh, request_of_rows(1), before, probe).empty());
  REQUIRE(fresh.requests.size() == 2);
  CHECK((fresh.calls == std::vector<Path>{Path::engine, Path::naive}));
  CHECK(fresh.requests[0].max_tokens == 3);
  CHECK(fresh.requests[1].max_tokens == 1);
}

TEST_CASE("whatever a fresh engine gives otherwise is named", "[fresh]") {
  const std::string bits =
      "'s first logits are not, to the bit, those of the first call: something was left over from call to call, or the "
      "engine is not deterministic";
  CHECK(faults_of([](ScriptedSubject& fresh) { fresh.engine.rows[0][1] = 7; }) ==
        Lines{"a fresh engine is not deterministic: row 0, step 1 differs from the first call's"});
  CHECK(faults_of([](ScriptedSubject& fresh) { fresh.engine.first_logit = std::nextafter(1.F, 0.F); }) ==
        Lines{"a fresh engine" + bits});
  CHECK(faults_of([](ScriptedSubject& fresh) { fresh.naive.first_logit = 2; }) == Lines{"a fresh naive path" + bits});
  CHECK(faults_of([](ScriptedSubject& fresh) { fresh.naive.prefill_extra = 3; }) ==
        Lines{"a fresh naive path's first forward took 13 positions, that of the first call 10"});
  CHECK(faults_of([](ScriptedSubject& fresh) { fresh.engine.extra_forwards = 1; }) ==
        Lines{"a fresh engine did not do the work of the first call: 13 and 12 positions, 4096 and 4096 bytes of cache"});
}

TEST_CASE("measuring costs what looking at the clock does, twice a step", "[fresh]") {
  TickingProbe probe;
  CHECK(own_step_ns(1, probe) == 50);
  CHECK(own_step_ns(3, probe) == 50);
}

TEST_CASE("hashing the first logits is in no time", "[fresh]") {
  TickingProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  const Sample sample = clocked_call(subject, Path::engine, request_of_rows(1), probe).sample;
  CHECK(sample.prefill_ns == 600 + 25);
  CHECK(sample.ttft_ns == 600 + 25 + 25 + 7 + 25);  // a look as the hashing begins; not the one as it ends
  CHECK(sample.itl_ns == std::vector<int64_t>{107 + 50, 107 + 50});
}
