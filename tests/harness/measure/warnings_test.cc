#include "harness/measure/warnings.h"

#include "harness/measure/grouping.h"
#include "tests/harness/measure/scripted.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

using Lines = std::vector<std::string>;

BuildInfo release() {
  BuildInfo build{};
  build.build_type = "Release";
  return build;
}

LoadSnapshot load_of(double one_minute) {
  LoadSnapshot snapshot;
  snapshot.load = Fact<std::vector<double>>::known({one_minute, 9, 9});
  return snapshot;
}

MachineFacts cores(int count) {
  MachineFacts facts;
  facts.cores = count;
  return facts;
}

}  // namespace

TEST_CASE("a release build on a quiet machine gives no warning") {
  CHECK(environment_warnings(release(), false, cores(2), load_of(1.0)).empty());
  LoadSnapshot unknown;
  unknown.load = Fact<std::vector<double>>::unknown("no such thing here");
  CHECK(environment_warnings(release(), false, cores(2), unknown).empty());
}

TEST_CASE("debug, assertion and sanitizer builds and a busy machine are warned of, with the remedy") {
  BuildInfo debug = release();
  debug.build_type = "Debug";
  CHECK(environment_warnings(debug, true, cores(2), load_of(0)) ==
        Lines{"a Debug build with assertions: times mean little; measure with -DCMAKE_BUILD_TYPE=Release"});
  CHECK(environment_warnings(release(), true, cores(2), load_of(0)) ==
        Lines{"a Release build with assertions: times mean little; measure with -DCMAKE_BUILD_TYPE=Release"});
  BuildInfo sanitized = debug;
  sanitized.sanitizers = "address,undefined";
  CHECK(environment_warnings(sanitized, true, cores(2), load_of(0)) ==
        Lines{"built with sanitizers (address,undefined): times mean nothing; measure with the release preset"});
  CHECK(environment_warnings(release(), false, cores(2), load_of(1.01)) ==
        Lines{"the machine was busy before the run (load 1.01 on 2 cores): close other programs, or take more "
              "repetitions and read the "
              "intervals"});
}

TEST_CASE("time that a hypervisor took and throttling are warned of, each beyond what is usual", "[warnings]") {
  LoadSnapshot before, after;
  before.steal_ns = Fact<int64_t>::known(5'000'000'000);
  after.steal_ns = Fact<int64_t>::known(5'200'000'000);  // 0.2 s of 2 x 10
  before.throttles = after.throttles = Fact<int64_t>::known(7);
  CHECK(disturbance_warnings(cores(2), before, after, 10).empty());
  after.steal_ns = Fact<int64_t>::known(5'300'000'000);
  after.throttles = Fact<int64_t>::known(9);
  CHECK(disturbance_warnings(cores(2), before, after, 10) ==
        Lines{"the hypervisor took 1.5 % of the CPUs' time during the run: believe ratios of turns rather than times, or "
              "measure on a machine of your own",
              "CPUs were slowed down 2 times for heat or power during the run (throttling): cool the machine, or lower its "
              "clock for good, and repeat"});
  after.steal_ns = after.throttles = Fact<int64_t>::unknown("not here");
  CHECK(disturbance_warnings(cores(2), before, after, 10).empty());
}

TEST_CASE("a length that was asked for and not met, and a clock that costs too much, are warned of", "[warnings]") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);  // gaps of 107
  const ModelDims dims{64, 97, 2, 4, 2, 64, {}};
  const GptConfig config(dims, architecture_of("head", dims));
  RepetitionPolicy policy;
  policy.repetitions = 6;
  GenerationRequest request = request_of_rows(1);
  const CaseMeasurement m = measure_repetitions(subject, request, policy, probe);
  request.max_tokens = 4;
  CHECK(case_warnings(m, request, false, config, 0.53).empty());
  CHECK(case_warnings(m, request, true, config, 0.54) ==
        Lines{"generated 3 of 4 tokens: rows ended early; set sampler.stop: false where the length matters",
              "measuring takes 0.5 % of a decode step: believe differences well above that, or take a larger model"});
}

TEST_CASE("few repetitions, unsettled times and positions past the training length are warned of") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  const ModelDims dims{13, 97, 2, 4, 2, 64, {}};
  const GptConfig config(dims, architecture_of("head", dims));
  RepetitionPolicy policy;
  policy.repetitions = 6;
  CaseMeasurement m = measure_repetitions(subject, request_of_rows(1), policy, probe);  // P 10 and 3 tokens
  CHECK(case_warnings(m, request_of_rows(1), true, config, 0.5).empty());
  m.naive.samples.resize(5);
  CHECK(case_warnings(m, request_of_rows(1), true, config, 0.5) ==
        Lines{"5 repetitions carry no 95 % interval; set run.repetitions to 6 or more"});
  GenerationRequest longer = request_of_rows(1);
  longer.prompt.push_back(4);
  m.naive.samples.resize(1);
  m.steady = false;
  CHECK(
      case_warnings(m, longer, true, config, 0.5) ==
      Lines{"1 repetition shows no spread; set run.repetitions to 6 or more for an interval, 12 for a good one",
            "times had not settled when the warm-up ended; repeat on a quieter machine, or set run.repetitions higher",
            "goes past position 13, the longest the model was trained on: its text there means little; shorten the "
            "prompt or "
            "sampler.max_tokens if the text matters"});
}

TEST_CASE("one warning about many cases is one line") {
  CaseWarnings warnings;
  warnings.add("a", {"slow", "long"});
  for (const char* id : {"b", "c", "d", "e"}) warnings.add(id, {"slow"});
  CHECK(warnings.lines() == Lines{"a, b, c and 2 more: slow", "a: long"});
}

TEST_CASE("cases are grouped by checkpoint, then by all that a model depends on, by first appearance") {
  LoadedConfig config;
  const auto add = [&](std::size_t checkpoint, const std::string& dtype, std::optional<int64_t> threads) {
    Case cell;
    cell.checkpoint = checkpoint;
    cell.run.dtype = dtype;
    cell.run.threads = threads;
    cell.run.repetitions = static_cast<int64_t>(config.cases.size());  // does not matter to the model
    config.cases.push_back(cell);
  };
  add(1, "float32", {});
  add(0, "float32", {});
  add(1, "bfloat16", {});
  add(1, "float32", 2);
  add(1, "float32", {});
  CHECK(used_checkpoints(config) == std::vector<std::size_t>{1, 0});
  const auto groups = group_cases(config, 1);
  REQUIRE(groups.size() == 3);
  CHECK(groups[0].cases == std::vector<std::size_t>{0, 4});
  CHECK(groups[1].cases == std::vector<std::size_t>{2});
  CHECK(groups[2].cases == std::vector<std::size_t>{3});
  CHECK(groups[2].run.threads == 2);
}
