#include "harness/report/html/plot_data.h"

#include <cmath>

#include "harness/analysis/crossover.h"
#include "harness/error.h"
#include "tests/harness/report/html/page.h"

using namespace kvproof;
using testing::sample;

namespace {

Json data_of(const Json& record) { return plot_data(View(record)); }

// Case 0 of the sample alone, both paths with these samples: ttft and gaps in ns, a repetition each.
struct Times {
  int64_t ttft;
  std::vector<int64_t> gaps;
};
Json with_samples(const std::vector<Times>& naive, const std::vector<Times>& engine) {
  Json record = sample();
  Json one = record["cases"][0];
  for (const auto& [path, list] : {std::pair{"naive", naive}, std::pair{"engine", engine}}) {
    const Json like = one["paths"][path]["samples"][0];
    Json& samples = one["paths"][path]["samples"] = Json::array();
    for (const Times& times : list) {
      Json made = like;
      made["repetition"] = samples.size();
      made["ttft_ns"] = times.ttft;
      made["itl_ns"] = times.gaps;
      samples.push_back(made);
    }
  }
  record["cases"] = Json::array({one});
  return record;
}

}  // namespace

TEST_CASE("long lists are thinned evenly and keep their ends", "[report][html]") {
  using Places = std::vector<std::size_t>;
  CHECK(kept_places(0, 4) == Places{});
  CHECK(kept_places(1, 4) == Places{0});
  CHECK(kept_places(4, 4) == Places{0, 1, 2, 3});
  CHECK(kept_places(10, 4) == Places{0, 3, 6, 9});
  CHECK(kept_places(11, 3) == Places{0, 5, 10});
  CHECK(kept_places(7, 1) == Places{0});
}

TEST_CASE("a step stands at the tokens before it, with the median over the repetitions", "[report][html]") {
  const Json steps = data_of(with_samples({{10, {100, 200, 300}}, {10, {110, 230, 300}}, {10, {900, 190, 290}}},
                                          {{10, {50, 50, 50}}}))["cases"][0]["steps"];
  CHECK(steps["naive"]["depth"] == Json({6, 7, 8}));  // behind 6 tokens of the prompt
  CHECK(steps["naive"]["ns"] == Json({110.0, 200.0, 300.0}));
}

TEST_CASE("of very many steps some are shown, and the count says of how many", "[report][html]") {
  const Json steps = data_of(with_samples({{10, std::vector<int64_t>(5000, 7)}}, {{10, {50}}}))["cases"][0]["steps"];
  CHECK(steps["naive"]["count"] == 5000);
  CHECK(steps["naive"]["ns"].size() == 1024);
  CHECK(steps["naive"]["depth"].back() == 6 + 4999);
}

TEST_CASE("the lines drawn through the steps are those of the case's crossover", "[report][html]") {
  const Json record = sample(), growth = data_of(record)["cases"][0]["growth"];
  const Json figures = figures_of(crossover(View(record["cases"][0])));
  CHECK(figures["naive"]["step_ns_per_token"].get<double>() > 0);
  for (const auto& [name, figure] : figures.items()) CHECK(growth[name] == figure);
  CHECK(growth["curve"] == true);
  CHECK(growth["withheld"] == false);
  CHECK(growth["before"] == 6);
}

TEST_CASE("through fewer steps than make a curve no line is drawn", "[report][html]") {
  const Json growth = data_of(with_samples({{10, {100, 200}}}, {{10, {50, 60}}}))["cases"][0]["growth"];
  CHECK(growth["curve"] == false);
  CHECK(growth["naive"]["step_ns_per_token"].is_null());
  CHECK(growth["break_even_tokens"] == 2);
}

TEST_CASE("tokens that were in the cache beforehand stand before all that is plotted", "[report][html]") {
  Json record = with_samples({{40, {100, 100}}}, {{20, {20, 20}}});
  record["cases"][0]["shape"]["depth"] = 500;
  const Json data = data_of(record), &one = data["cases"][0];
  CHECK(one["steps"]["naive"]["depth"] == Json({506, 507}));
  CHECK(one["speedup"]["length"] == Json({507, 508, 509}));
  CHECK(one["growth"]["before"] == 506);
  CHECK(data["groups"][0]["ends"][0]["length"] == 500 + 6 + 64);
}

TEST_CASE("a case behind a filled cache is not compared by length with one behind an empty one", "[report][html]") {
  Json record = sample();
  record["cases"] = Json::array({record["cases"][0], record["cases"][0], record["cases"][0]});
  record["cases"][1]["shape"]["depth"] = 100;
  record["cases"][2]["shape"]["depth"] = 200;
  const Json cases = data_of(record)["cases"];
  CHECK(cases[0]["group"] != cases[1]["group"]);
  CHECK(cases[1]["group"] == cases[2]["group"]);
}

TEST_CASE("behind a filled cache the engine's prefill reads that, too", "[report][html]") {
  Json record = sample();
  record["cases"][0]["shape"]["depth"] = 100;
  const Json points = data_of(record)["cases"][0]["roofline"]["points"];
  CHECK(points[0]["intensity"].get<double>() == Approx(44040000.0 / 14700560));
  CHECK(points[1]["intensity"].get<double>() == Approx(44040000.0 / (14700560 + 100 * 8192)));
}

TEST_CASE("beside the speed-up stand the ratio of positions, which ends at the record's, and what FLOPs allow",
          "[report][html]") {
  Json record = sample();
  Json& rows = record["cases"][2];  // of 5, 4, 4 and 5 tokens, the one that ended each included
  rows["paths"]["naive"]["token_forwards"] = 4 * (10 + 11 + 12 + 13) + 2 * 14;
  rows["paths"]["engine"]["token_forwards"] = 10 + 4 + 3 + 3 + 4;
  rows["work"]["work_ratio"] = 212. / 24;
  const Json data = data_of(record);
  for (const int i : {0, 1, 2}) {
    CAPTURE(i);
    const Json &curve = data["cases"][i]["speedup"], &work = record["cases"][i]["work"];
    REQUIRE(curve["positions"].size() == curve["length"].size());
    CHECK(curve["positions"].back().get<double>() == Approx(work["work_ratio"].get<double>()).epsilon(1e-5));
    CHECK(curve["ceiling"] == work["ceiling"]);
  }
  const Json positions = data["cases"][0]["speedup"]["positions"];
  CHECK(positions[0] == 1);
  CHECK(positions[2].get<double>() == Approx((6. + 7 + 8) / (6 + 2)));
}

TEST_CASE("where the positions cannot be counted from the rows no ratio of them is drawn", "[report][html]") {
  Json record = sample();
  record["cases"][0]["paths"]["naive"]["token_forwards"] = 2401;
  CHECK(data_of(record)["cases"][0]["speedup"]["positions"].is_null());
}

TEST_CASE("the gaps of all repetitions are sorted, each with the share that is not longer", "[report][html]") {
  const Json gaps = data_of(with_samples({{10, {300, 100}}, {10, {200, 400}}}, {{10, {5, 5}}}))["cases"][0]["gaps"];
  CHECK(gaps["naive"] == Json({{"ns", {100, 200, 300, 400}}, {"share", {0.25, 0.5, 0.75, 1.0}}, {"count", 4}}));
  CHECK(gaps["engine"]["count"] == 2);
}

TEST_CASE("the speed-up up to a token is that of the times until it was in hand", "[report][html]") {
  const Json curve = data_of(with_samples({{40, {100, 100}}, {80, {200, 200}}, {60, {100, 100}}},
                                          {{20, {20, 20}}, {20, {20, 20}}, {20, {20, 20}}}))["cases"][0]["speedup"];
  CHECK(curve["length"] == Json({7, 8, 9}));
  CHECK(curve["ratio"][0].get<double>() == Approx(3));          // 2, 4 and 3
  CHECK(curve["ratio"][1].get<double>() == Approx(4));          // 140/40, 280/40 and 160/40
  CHECK(curve["ratio"][2].get<double>() == Approx(260. / 60));  // 240/60, 480/60 and 260/60
  CHECK(curve["low"] == Json({nullptr, nullptr, nullptr}));     // three pairs carry no interval
}

TEST_CASE("repetitions are paired by their number, not by their place", "[report][html]") {
  Json record = with_samples({{30, {}}, {80, {}}}, {{40, {}}, {10, {}}});
  for (auto& [number, place] : {std::pair{1, 0}, std::pair{0, 1}})
    record["cases"][0]["paths"]["engine"]["samples"][place]["repetition"] = number;
  const Json curve = data_of(record)["cases"][0]["speedup"];  // 30/10 and 80/40
  CHECK(curve["ratio"][0].get<double>() == Approx(std::sqrt(6)));
}

TEST_CASE("the curve of the speed-up ends at the record's own", "[report][html]") {
  const Json record = sample(), curve = data_of(record)["cases"][0]["speedup"];
  CHECK(curve["length"].back() == 70);
  CHECK(curve["ratio"].back().get<double>() ==
        Approx(record["cases"][0]["speedup"]["e2e"]["ratio"].get<double>()).epsilon(1e-3));
  CHECK(curve["low"].back().get<double>() ==
        Approx(record["cases"][0]["speedup"]["e2e"]["low"].get<double>()).epsilon(1e-3));
}

TEST_CASE("a speed-up that is withheld is not plotted, its reason is", "[report][html]") {
  const Json data = data_of(sample());
  CHECK(data["cases"][3]["speedup"] == Json({{"none", "Withheld: the outputs disagree: row 0 parts at step 5."}}));
  for (const Json& group : data["groups"])
    for (const Json& end : group["ends"]) CHECK(end["case"] != 3);
}

TEST_CASE("a speed-up that nobody verified says so", "[report][html]") {
  const Json data = data_of(sample());
  CHECK(data["cases"][0]["speedup"]["verified"] == true);
  CHECK(data["cases"][4]["speedup"]["verified"] == false);
}

TEST_CASE("cases are compared by length where nothing else differs", "[report][html]") {
  Json record = sample();
  record["cases"] = Json::array({record["cases"][0], record["cases"][1], record["cases"][0]});
  record["cases"][2]["settings"]["run"]["threads"] = 1;
  const Json data = data_of(record);
  CHECK(data["cases"][0]["group"] == data["cases"][1]["group"]);
  CHECK(data["cases"][2]["group"] != data["cases"][0]["group"]);
  const Json& ends = data["groups"][0]["ends"];
  REQUIRE(ends.size() == 2);
  CHECK(ends[1] ==
        Json({{"case", 1}, {"length", 29}, {"ratio", 4.6537}, {"low", 4.6038}, {"high", 4.7149}, {"verified", true}}));
}

TEST_CASE("runs are listed as they ran: the first call, warm-up, repetitions", "[report][html]") {
  const Json record = sample(), runs = data_of(record)["cases"][0]["runs"];
  const Json& path = record["cases"][0]["paths"]["engine"];
  REQUIRE(runs["engine"]["runs"].size() == 8);
  CHECK(runs["engine"]["runs"][0] ==
        Json({{"kind", "first call"}, {"number", 1}, {"order", 1}, {"e2e_ns", path["first_call"]["e2e_ns"]}}));
  CHECK(runs["engine"]["runs"][1]["kind"] == "warm-up");
  CHECK(runs["engine"]["runs"][7] == Json({{"kind", "repetition"},
                                           {"number", 6},
                                           {"order", path["samples"][5]["order"]},
                                           {"e2e_ns", path["samples"][5]["e2e_ns"]}}));
  CHECK(runs["engine"]["median_ns"] == path["metrics"]["e2e_ns"]["median"]);
}

TEST_CASE("one generated token leaves no plot of steps or gaps", "[report][html]") {
  const Json one = data_of(sample())["cases"][4];
  CHECK(one["steps"].contains("none"));
  CHECK(one["gaps"].contains("none"));
  CHECK(one["runs"]["naive"]["runs"].size() > 0);
}

TEST_CASE("decode stands on the roofline where its bytes and the cost model's FLOPs put it", "[report][html]") {
  const Json record = sample(), roof = data_of(record)["cases"][0]["roofline"];
  CHECK(roof["flops_per_s"] == 329600000000.0);
  REQUIRE(roof["reads"].size() == 3);
  CHECK(roof["reads"][2] == Json({{"name", "out_of_cache"}, {"bytes_per_s", 31900000000.0}}));
  REQUIRE(roof["points"].size() == 4);
  const Json& prefill = roof["points"][1];
  CHECK(prefill["path"] == "engine");
  CHECK(prefill["intensity"].get<double>() == Approx(44040000.0 / 14700560));
  CHECK(prefill["flops_per_s"] == 13445700000.0);
  CHECK(prefill["share"] == 0.040794);
  // Two FLOPs for each of the 4-byte numbers read: weights by one row, cache by as many query heads as there are of K and V.
  const Json& decode = roof["points"][3];
  CHECK(decode["phase"] == "decode");
  CHECK(decode["intensity"].get<double>() == Approx(0.5));
  CHECK(decode["flops_per_s"].get<double>() == Approx(0.5 * 24384200000.0));
  CHECK(decode["share"] == 0.424812);
}

TEST_CASE("what naive computes in a step follows from the ratio of all FLOPs", "[report][html]") {
  const Json record = sample(), points = data_of(record)["cases"][0]["roofline"]["points"];
  const double step = (14700560.0 + 311296) / 2, all = 32.3478 * (44040000.0 + 63 * step);
  CHECK(points[2]["path"] == "naive");
  CHECK(points[2]["phase"] == "decode");
  CHECK(points[2]["intensity"].get<double>() == Approx((all - 44040000.0) / 63 / 14700560));
}

TEST_CASE("rows share the weights that a step reads, and shared heads the cache", "[report][html]") {
  Json record = sample();
  record["checkpoints"][0]["dims"]["n_kv_head"] = 2;  // of 4 query heads
  Json& path = record["cases"][0]["paths"]["engine"];
  path["token_forwards"] = 6 + 63 * 4;
  const Json decode = data_of(record)["cases"][0]["roofline"]["points"][3];
  CHECK(decode["intensity"].get<double>() == Approx((4 * 14700560.0 + 2 * 311296) / 2 / (14700560.0 + 311296)));
}

TEST_CASE("without measured peaks there is no roofline", "[report][html]") {
  Json record = sample();
  SECTION("an older record") { record["machine"].erase("peaks"); }
  SECTION("run.peaks: off") { record["machine"]["peaks"] = Json::array(); }
  SECTION("other threads") { record["machine"]["peaks"][0]["threads"] = 1; }
  SECTION("the clock stood still") {
    record["machine"]["peaks"][0]["gemm"][0]["flops_per_s"] = record["machine"]["peaks"][0]["gemm"][1]["flops_per_s"] =
        nullptr;
  }
  CHECK(data_of(record)["cases"][0]["roofline"].contains("none"));
}

TEST_CASE("a model whose weights are unknown here has no place on the roofline", "[report][html]") {
  Json record = sample();
  for (const char* path : {"naive", "engine"}) record["cases"][0]["paths"][path]["utilization"] = nullptr;
  CHECK(data_of(record)["cases"][0]["roofline"].contains("none"));
}

TEST_CASE("errors by position are those of the case's verification", "[report][html]") {
  const Json error = data_of(sample())["cases"][0]["error"];
  CHECK(error["logits"] ==
        Json({{"positions", {6, 7, 8}}, {"max_abs", {2.6e-06, 2.5e-06, 3e-06}}, {"scenario", "decode[7,9]/float32"}}));
  CHECK(error["levels"] == Json::array({{{"positions", {5, 6, 7}},
                                         {"max_abs", {1e-06, 0, 1.5e-06}},
                                         {"level", "L3"},
                                         {"name", "keys and values"}}}));
  CHECK(error["findings"] == Json::array());
  CHECK(error["dtype"] == "float32");
  Json older = sample();
  older["verifications"][0]["error_by_position"].erase("levels");
  CHECK(data_of(older)["cases"][0]["error"]["levels"] == Json::array());
}

TEST_CASE("of the levels that compare numbers the worst is told, in units of what is allowed", "[report][html]") {
  Json record = sample();
  Json& levels = record["verifications"][0]["levels"];
  levels["L3"]["checks"] = 0;
  levels["L4"]["worst_ratio"] = 0.25;
  const Json worst = data_of(record)["cases"][0]["error"]["worst"];
  REQUIRE(worst.size() == 2);
  CHECK(worst[0]["level"] == "L2");
  CHECK(worst[0]["ratio"] == levels["L2"]["worst_ratio"]);
  CHECK(worst[1] == Json({{"level", "L4"}, {"name", "side state"}, {"ratio", 0.25}}));
}

TEST_CASE("what failed is plotted by level, where it has a place", "[report][html]") {
  Json record = sample();
  const Json placed = {{"level", "L3"}, {"position", 4}, {"error", 0.5}},
             nowhere = {{"level", "L0"}, {"position", nullptr}, {"error", 0}};
  record["verifications"][0]["outcomes"] =
      Json::array({{{"name", "chunks[3,1]/float32"}, {"findings", {placed, nowhere}}}});
  record["verifications"][0]["error_by_position"]["max_abs"][1] = nullptr;  // not finite
  const Json error = data_of(record)["cases"][0]["error"];
  CHECK(error["findings"] == Json::array({{{"level", "L3"},
                                           {"name", "keys and values"},
                                           {"scenario", "chunks[3,1]/float32"},
                                           {"position", 4},
                                           {"error", 0.5}}}));
  CHECK(error["logits"]["positions"] == Json({6, 8}));
}

TEST_CASE("without a verification there is no plot of errors", "[report][html]") {
  Json record = sample();
  CHECK(data_of(record)["cases"][4]["error"].contains("none"));  // verify: off
  record["verifications"][0]["error_by_position"] = nullptr;
  CHECK(data_of(record)["cases"][0]["error"].contains("none"));
  record.erase("verifications");
  for (Json& one : record["cases"]) one.erase("verification");
  CHECK(data_of(record)["cases"][0]["error"].contains("none"));
}

TEST_CASE("a verification that is not there is a damaged record", "[report][html]") {
  Json record = sample();
  record["cases"][0]["verification"]["index"] = 1;
  try {
    data_of(record);
    FAIL("no error");
  } catch (const RecordError& error) {
    CHECK(error.place() == "/cases/0/verification/index");
    CHECK(error.message() == "expected one of the record's 1 verifications, found 1; the record is damaged");
  }
}
