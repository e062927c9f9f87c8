#include "harness/track/fitness.h"

#include <functional>

#include "tests/harness/track/samples.h"

using namespace kvproof;
using namespace kvproof::track;
using compare::Times;
using Words = std::vector<std::string>;
using testing::fit_record;

namespace {

Fitness with(const std::function<void(Json&)>& change, Times times = Times::keep) {
  Json record = fit_record();
  change(record);
  return fitness_of(record, times);
}

// The refusals with times; and that they stand, or do not, without.
Words refusals(const std::function<void(Json&)>& change, bool also_without_times) {
  CHECK(with(change, Times::leave_out).fit() != also_without_times);
  return with(change).refusals;
}

}  // namespace

TEST_CASE("a run of a committed build on a quiet machine is fit for a baseline", "[track]") {
  const Fitness fitness = fitness_of(fit_record(), Times::keep);
  CHECK(fitness.refusals == Words{});
  CHECK(fitness.warnings == Words{});
}

TEST_CASE("outputs that nobody should keep are refused, with times or without", "[track]") {
  CHECK(refusals([](Json& r) { r["partial"] = true; }, true) ==
        Words{"the run was interrupted: finish it with kvproof run --resume and the .jsonl file beside the record"});
  CHECK(refusals([](Json& r) { r["cases"] = Json::array(); }, true) == Words{"it has no cases"});
  CHECK(refusals([](Json& r) { r["cases"].push_back(testing::sample()["cases"][5]); }, true) ==
        Words{"demo/long: failed; mend that, or leave it out of the config"});
  CHECK(refusals([](Json& r) { r["cases"].push_back(testing::sample()["cases"][3]); }, true) ==
        Words{"demo/italy: naive and engine DISAGREE; mend the engine first"});
  CHECK(refusals([](Json& r) { r["cases"][1]["validity"]["verdict"] = "INVALID"; }, true) ==
        Words{"demo/tool: INVALID; kvproof report shows why"});
  CHECK(refusals([](Json& r) { r["cases"].push_back(r["cases"][0]); }, true) ==
        Words{"demo/france: a case of that name is there twice"});
}

TEST_CASE("times of a machine that was not quiet are refused, each with its threshold and the remedy", "[track]") {
  CHECK(refusals([](Json& r) { r["machine"]["load_before"][0] = 1.01; }, false) ==
        Words{"the load before the run was 1.01, above 1.00 (0.5 for each core): end other programs"});
  CHECK(with([](Json& r) { r["machine"]["load_before"][0] = 1.0; }).fit());
  CHECK(with([](Json& r) { r["machine"]["load_before"] = nullptr; }).fit());

  // 9 seconds of 2 CPUs: 1 % is 0.18 s.
  CHECK(refusals([](Json& r) { r["machine"]["steal_ns"] = 360000000; }, false) ==
        Words{"the hypervisor took 2.0 % of the CPUs' time, more than 1 %: measure where no other machine shares the "
              "CPUs"});
  CHECK(with([](Json& r) { r["machine"]["steal_ns"] = 179000000; }).fit());
  CHECK_FALSE(with([](Json& r) { r["machine"]["steal_ns"] = 181000000; }).fit());
  CHECK(with([](Json& r) {
          r["finished"] = r["started"];
          r["machine"]["steal_ns"] = 1;
        }).fit());

  CHECK(refusals([](Json& r) { r["machine"]["throttles"] = 3; }, false) ==
        Words{"CPUs were slowed down 3 times for heat or power: let the machine cool, or lower its clock"});
  CHECK(refusals([](Json& r) { r["warnings"].push_back("the machine became slower: so it did; wait"); }, false) ==
        Words{"the machine became slower: so it did; wait"});
  CHECK(refusals([](Json& r) { r["machines"] = Json::array({r["machine"], r["machine"]}); }, false).size() == 1);
}

TEST_CASE("the words by which a slower machine is known are those that a run says", "[track]") {
  const std::string source = testing::read_file(testing::source_path("harness/measure/run_peaks.cc"));
  CHECK(source.find('"' + std::string(kBecameSlower) + ": ") != std::string::npos);
}

TEST_CASE("builds that say nothing of times are refused with times, and warned of without", "[track]") {
  const auto debug = [](Json& r) { r["kvproof"]["build_type"] = "Debug"; };
  const auto address = [](Json& r) { r["kvproof"]["sanitizers"] = "address"; };
  CHECK(refusals(debug, false) == Words{"it was built as Debug, which says nothing of times: measure with "
                                        "-DCMAKE_BUILD_TYPE=Release, or keep no times (--exact)"});
  CHECK(refusals(address, false).size() == 1);
  CHECK(with(debug, Times::leave_out).warnings.size() == 1);
  CHECK(with([](Json& r) { r["kvproof"]["build_type"] = "RelWithDebInfo"; }).fit());
}

TEST_CASE("what makes a baseline less than it seems is warned of", "[track]") {
  CHECK(with([](Json& r) { r["kvproof"]["dirty"] = true; }).warnings ==
        Words{"it was built with changes that were not committed: its commit does not name the code"});
  CHECK(with([](Json& r) { r["cases"][0]["agreement"]["verdict"] = "UNVERIFIED"; }).warnings.size() == 1);
  const auto few = [](Json& r) { r["cases"][1]["paths"]["engine"]["samples"].erase(0); };
  CHECK(with(few).warnings ==
        Words{"demo/tool: too few repetitions for intervals of times at 95 %; set run.repetitions to 6 or more"});
  CHECK(with(few, Times::leave_out).warnings == Words{});
}
