#include "harness/measure/time_limit.h"

#include <fstream>

#include "harness/error.h"
#include "harness/measure/run.h"
#include "tests/harness/config/config_file.h"
#include "tests/harness/measure/fake_peaks.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"
#include "tests/support/json_schema.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

/// A case whose estimate is 1 + 4 rounds + repetitions.
PlannedCase case_of(const std::string& id, double round_s, int64_t repetitions, bool automatic = true) {
  PlannedCase planned;
  planned.id = id;
  planned.round_s = round_s;
  planned.warm_s = 4 * round_s;
  planned.besides_s = 1;
  planned.repetitions = repetitions;
  if (automatic) planned.auto_repetitions = repetitions;
  return planned;
}

Plan plan_of(const std::vector<PlannedCase>& cases) { return with_at_most(Plan{cases, {}}, 1000); }

std::vector<int64_t> repetitions_of(const Plan& plan) {
  std::vector<int64_t> all;
  for (const PlannedCase& each : plan.cases) all.push_back(each.repetitions);
  return all;
}

using Counts = std::vector<int64_t>;

SubjectInfo small_model() {
  SubjectInfo info;
  info.dtype = "float32";
  info.vocab_size = 97;
  info.sequence_len = 32;
  info.rotary_len = 320;
  info.n_layer = 2;
  info.n_head = 4;
  info.n_kv_head = 2;
  info.head_dim = 16;
  info.n_embd = 64;
  info.windows = {kUnlimited, kUnlimited};
  return info;
}

}  // namespace

TEST_CASE("all repetitions that are auto get the same cap, the largest that fits", "[time_limit]") {
  // 1 + 4 + 12 and 1 + 8 + 24: together 14 + 3 k.
  const Plan plan = plan_of({case_of("a", 1, 12), case_of("b", 2, 12)});
  REQUIRE(plan.estimated_s() == 50);
  CHECK(repetitions_of(fit_into(plan, 1e6)) == Counts{12, 12});
  CHECK(repetitions_of(fit_into(plan, 50)) == Counts{12, 12});
  CHECK(repetitions_of(fit_into(plan, 49.9)) == Counts{11, 11});
  CHECK(fit_into(plan, 49.9).estimated_s() == 47);
  CHECK(repetitions_of(fit_into(plan, 26)) == Counts{4, 4});
  CHECK(repetitions_of(fit_into(plan, 25.9)) == Counts{3, 3});
  CHECK(repetitions_of(fit_into(plan, 23)) == Counts{3, 3});
}

TEST_CASE("where even the fewest repetitions do not fit, that is an error before anything is measured",
          "[time_limit]") {
  const Plan plan = plan_of({case_of("a", 1, 12), case_of("b", 2, 12)});
  CHECK_THROWS_WITH(fit_into(plan, 22.9),
                    "--max-time: must be at least 23 s, which even the fewest repetitions (3 where they are auto) are "
                    "estimated to take here, got 23 s; raise it, or give fewer cases, shorter prompts or lower "
                    "repetitions: N");
  CHECK_THROWS_AS(fit_into(plan, 22.9), ArgumentError);
  const Plan long_one = plan_of({case_of("a", 10.07, 12)});  // 1 + 7 * 10.07 = 71.49
  CHECK_THROWS_WITH(fit_into(long_one, 60), Catch::Matchers::Contains("must be at least 1 min 12 s") &&
                                                Catch::Matchers::Contains("got 1 min;"));
}

TEST_CASE("repetitions that the config gives stay, also where nothing fits", "[time_limit]") {
  const Plan plan =
      plan_of({case_of("a", 1, 20, false), case_of("b", 1, 9), case_of("c", 1, 3), case_of("d", 1, 1, false)});
  REQUIRE(plan.estimated_s() == 4 * 5 + 20 + 9 + 3 + 1);
  CHECK(repetitions_of(fit_into(plan, 53)) == Counts{20, 9, 3, 1});
  CHECK(repetitions_of(fit_into(plan, 52)) == Counts{20, 8, 3, 1});
  CHECK(repetitions_of(fit_into(plan, 47)) == Counts{20, 3, 3, 1});
  CHECK_THROWS_AS(fit_into(plan, 46), ArgumentError);
  const Plan given = plan_of({case_of("a", 1, 20, false)});
  CHECK(repetitions_of(fit_into(given, 25)) == Counts{20});
  CHECK_THROWS_AS(fit_into(given, 24.9), ArgumentError);
}

TEST_CASE("more time never gives fewer repetitions, and one more would not have fitted", "[time_limit]") {
  Plan plan =
      plan_of({case_of("a", 0.31, 12), case_of("b", 2.2, 4), case_of("c", 1.1, 9), case_of("d", 0.5, 2, false)});
  SECTION("measured alone") {}
  SECTION("with verification, whose time depends on theirs") {
    for (PlannedCase& each : plan.cases) each.verified = true;
    plan.verifications = {{small_model(), Depth::quick, {0, 1, 2, 3}}};
    plan = with_at_most(plan, 12);
  }
  int64_t before = 0;
  for (double time = with_at_most(plan, 3).estimated_s(); time < plan.estimated_s() + 1; time += 0.05) {
    const Plan fitted = fit_into(plan, time);
    CAPTURE(time);
    CHECK(fitted.estimated_s() <= time);
    const int64_t k = fitted.cases[0].repetitions;
    CHECK(k >= before);
    CHECK(repetitions_of(fitted) == Counts{k, std::min<int64_t>(k, 4), std::min<int64_t>(k, 9), 2});
    if (k < 12) CHECK(with_at_most(plan, k + 1).estimated_s() > time);
    before = k;
  }
  CHECK(before == 12);
}

TEST_CASE("verification is part of the estimate, by the time that measuring takes", "[time_limit]") {
  Plan plan{{case_of("a", 1, 12), case_of("b", 3, 12), case_of("c", 1, 12)}, {}};
  plan.cases[0].verified = plan.cases[1].verified = true;
  plan.verifications = {{small_model(), Depth::quick, {0, 1, 2}}};
  for (const int64_t k : {3, 12}) {
    const Plan counted = with_at_most(plan, k);
    const double round_s = 4.0 + static_cast<double>(k);
    const double verification = estimated_verification_s(small_model(), Depth::quick, 5 * round_s);
    CHECK(counted.cases[0].estimated_s == Approx(1 + round_s + verification / 4));
    CHECK(counted.cases[1].estimated_s == Approx(1 + 3 * round_s + 3 * verification / 4));
    CHECK(counted.cases[2].estimated_s == Approx(1 + round_s));
    CHECK(with_at_most(with_at_most(plan, 5), k).estimated_s() == Approx(counted.estimated_s()));
  }
}

TEST_CASE("what was chosen is said in one sentence", "[time_limit]") {
  const auto said = [](const Plan& plan, double time) {
    return time_limit_text(time_limit_of(fit_into(plan, time), time));
  };
  const Plan plan = plan_of({case_of("a", 10, 12), case_of("b", 10, 12), case_of("c", 10, 2, false)});
  CHECK(said(plan, 300) == "estimated 4 min 43 s; --max-time 5 min: 7 repetitions in place of 12 in 2 cases");
  CHECK(said(plan, 3600) == "estimated 6 min 23 s; --max-time 1 h: as many repetitions as without it");
  CHECK(said(plan_of({case_of("a", 1, 12), case_of("b", 1, 9), case_of("c", 1, 3)}), 32) ==
        "estimated 32 s; --max-time 32 s: 7 repetitions in place of 9 to 12 in 2 cases");
  CHECK(said(plan_of({case_of("a", 1, 12), case_of("b", 1, 9)}), 30) ==
        "estimated 30 s; --max-time 30 s: 11 repetitions in place of 12 in 1 case");
  CHECK(said(plan_of({case_of("a", 1, 2, false)}), 30) ==
        "estimated 7 s; --max-time 30 s: the config gives all repetitions");
}

TEST_CASE("what was chosen takes the place of auto, is recorded and warned of", "[time_limit]") {
  LoadedConfig config = load_text(
      "checkpoints: [{name: m, synthetic: d2}]\nprompts: [{name: a, tokens: [1]}, {name: b, tokens: [2]},\n"
      "  {name: c, tokens: [3], run: {repetitions: 20}}, {name: d, tokens: [4]}]\n");
  const std::string hash = config.hash;
  Json record = {{"warnings", {"busy"}}};
  record_time_limit(config, record);
  CHECK(record == Json({{"warnings", {"busy"}}, {"max_time_s", nullptr}}));

  const TimeLimit chosen{300, 250.5, {{"m/a", 4, 12}, {"m/b", 4, 12}, {"m/d", 3, 3}, {"gone", 4, 5}}};
  put_into(config, chosen);
  CHECK(config.cases[0].run.repetitions == 4);
  CHECK(config.cases[1].run.repetitions == 4);
  CHECK(config.cases[2].run.repetitions == 20);
  CHECK(config.cases[3].run.repetitions == 3);
  CHECK(config.hash == hash);
  record_time_limit(config, record);
  CHECK(record["max_time_s"] == 300.0);
  CHECK(record["warnings"] ==
        Json({"busy",
              "m/a, m/b: 4 repetitions of 12, chosen by --max-time 5 min: intervals are wider than they could be; give "
              "more "
              "time, or fewer cases",
              "gone: 4 repetitions of 5, chosen by --max-time 5 min: intervals are wider than they could be; give more "
              "time, or fewer cases"}));
}

TEST_CASE("a run takes the repetitions that were chosen, and its record obeys the schema", "[time_limit]") {
  LoadedConfig config = load_text(
      "checkpoints: [{name: m, synthetic: 'd1,vocab_size=64,n_embd=32,n_head=2,sequence_len=32'}]\n"
      "prompts: [{name: a, tokens: [1]}]\nsampler: {max_tokens: 2}\nrun: {threads: 1, verify: off}\n");
  put_into(config, {10, 2.5, {{"m/a", 5, 12}}});
  const Json record = run_config(config, {}, nullptr, fake_peaks()).record;
  std::ifstream schema(source_path("results/record.schema.json"));
  CHECK(JsonSchema(Json::parse(schema)).errors(record) == std::vector<std::string>{});
  CHECK(record["max_time_s"] == 10.0);
  CHECK(record["cases"][0]["settings"]["run"]["repetitions"] == 5);
  CHECK(record["cases"][0]["paths"]["engine"]["samples"].size() == 5);
  CHECK_THAT(record["warnings"].dump(),
             Catch::Matchers::Contains("m/a: 5 repetitions of 12, chosen by --max-time 10 s: "));
}

TEST_CASE("what was chosen comes out of a journal as it went in", "[time_limit]") {
  const TimeLimit chosen{300.25, 250.5, {{"m/a", 4, 12}, {"m/d", 3, 3}}};
  const Json json = time_limit_json(chosen);
  const TimeLimit read = time_limit_from(View(json));
  CHECK(read.max_time_s == 300.25);
  CHECK(read.estimated_s == 250.5);
  CHECK(time_limit_json(read) == json);
  CHECK_THROWS_AS(time_limit_from(View(Json({{"max_time_s", 1}}))), RecordError);
}
