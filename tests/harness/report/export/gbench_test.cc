#include "harness/report/export/gbench.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "harness/analysis/crossover.h"
#include "harness/error.h"
#include "tests/harness/report/export/records.h"

using namespace kvproof;
using testing::file_text;
using testing::sample;

namespace {

Json exported(const Json& record) { return Json::parse(render_gbench(record)); }

std::vector<Json> rows_of(const Json& document, const std::string& name) {
  std::vector<Json> rows;
  for (const Json& row : document["benchmarks"])
    if (row["name"] == name) rows.push_back(row);
  return rows;
}

}  // namespace

TEST_CASE("the Google Benchmark JSON of the sample record is this one, character by character", "[report][gbench]") {
  CHECK(render_gbench(sample()) == file_text("tests/data/report/sample.gbench.json"));
}

TEST_CASE("there is a row for each repetition of each phase of each path", "[report][gbench]") {
  const Json record = sample(), document = exported(record);
  // Four cases of five or six repetitions and three phases, one that generates one token, one that failed.
  CHECK(document["benchmarks"].size() == 2 * 3 * (6 + 6 + 3 + 6) + 2 * 2 * 3 + 1);
  const auto rows = rows_of(document, "demo/france/engine/decode");
  REQUIRE(rows.size() == 6);
  const Json& samples = record["cases"][0]["paths"]["engine"]["samples"];
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto gaps = samples[i]["itl_ns"].get<std::vector<double>>();
    const double all = std::accumulate(gaps.begin(), gaps.end(), 0.0);
    CHECK(rows[i]["real_time"].get<double>() == Approx(all / 63));
    CHECK(rows[i]["iterations"] == 63);
    CHECK(rows[i]["repetition_index"] == i);
    CHECK(rows[i]["repetitions"] == 6);
    CHECK(rows[i]["run_type"] == "iteration");
    CHECK(rows[i]["run_name"] == rows[i]["name"]);
    CHECK(rows[i]["time_unit"] == "ns");
    CHECK(rows[i]["threads"] == 2);
    CHECK(rows[i]["tok_per_s"].get<double>() == Approx(1e9 * 63 / all).epsilon(1e-5));
    CHECK_FALSE(rows[i].contains("error_occurred"));
  }
  CHECK(rows_of(document, "demo/france/naive/prefill")[1]["real_time"] == 3323229.0);
  CHECK(rows_of(document, "demo/france/naive/prefill")[1]["tok_per_s"].get<double>() ==
        Approx(6e9 / 3323229).epsilon(1e-5));
  CHECK(rows_of(document, "demo/france/naive/e2e")[2]["real_time"] == 288299449.0);
}

TEST_CASE("a batch's rates count the positions and tokens of all its rows", "[report][gbench]") {
  const Json document = exported(sample());
  const auto naive = rows_of(document, "demo/creation/sampler.temperature=0.8/naive/prefill");
  const auto engine = rows_of(document, "demo/creation/sampler.temperature=0.8/engine/prefill");
  // naive pushes the 10 tokens of the prompt through the model once for each of the 4 rows.
  CHECK(naive[0]["tok_per_s"].get<double>() == Approx(40e9 / naive[0]["real_time"].get<double>()).epsilon(1e-5));
  CHECK(engine[0]["tok_per_s"].get<double>() == Approx(10e9 / engine[0]["real_time"].get<double>()).epsilon(1e-5));
}

TEST_CASE("what all repetitions say of growth is a counter in each row of decode, and of the engine's whole run",
          "[report][gbench]") {
  const Json record = sample(), document = exported(record);
  const Json figures = figures_of(crossover(View(record["cases"][0])));
  for (const char* path : {"naive", "engine"})
    for (const Json& row : rows_of(document, fmt::format("demo/france/{}/decode", path)))
      for (const auto& [name, value] : figures[path].items()) CHECK(row[name] == value);
  for (const Json& row : rows_of(document, "demo/france/engine/e2e"))
    for (const char* name : {"break_even_tokens", "of_ceiling"}) CHECK(row[name] == figures[name]);
  CHECK_FALSE(rows_of(document, "demo/france/naive/e2e")[0].contains("of_ceiling"));
  CHECK_FALSE(rows_of(document, "demo/tool/naive/decode")[0].contains("step_ns_per_token"));  // no curve
  CHECK_FALSE(rows_of(document, "demo/italy/engine/e2e")[0].contains("break_even_tokens"));   // withheld
}

TEST_CASE("the context says whether a run was interrupted", "[report][gbench]") {
  Json record = sample();
  CHECK(exported(record)["context"]["kvproof_partial"] == false);
  CHECK(exported(record)["context"]["kvproof_exit_code"] == 5);
  record["partial"] = true;
  CHECK(exported(record)["context"]["kvproof_partial"] == true);
}

TEST_CASE("CPU time is that of the whole call and 0 where the record has none", "[report][gbench]") {
  Json record = sample();
  record["cases"][0]["paths"]["engine"]["samples"][1]["cpu_ns"] = nullptr;
  const Json document = exported(record);
  CHECK(rows_of(document, "demo/france/naive/e2e")[0]["cpu_time"] == 557411471.0);
  CHECK(rows_of(document, "demo/france/engine/e2e")[1]["cpu_time"] == 0.0);
  CHECK(rows_of(document, "demo/france/naive/prefill")[0]["cpu_time"] == 0.0);
  CHECK(rows_of(document, "demo/france/naive/decode")[0]["cpu_time"] == 0.0);
}

TEST_CASE("one generated token has no decode rows", "[report][gbench]") {
  const Json document = exported(sample());
  CHECK(rows_of(document, "bare/ids/run.verify=off/engine/decode").empty());
  CHECK(rows_of(document, "bare/ids/run.verify=off/engine/prefill").size() == 3);
}

TEST_CASE("cases that failed or are of no use are rows with an error", "[report][gbench]") {
  const Json document = exported(sample());
  const auto failed = rows_of(document, "demo/long");
  REQUIRE(failed.size() == 1);
  CHECK(failed[0]["error_occurred"] == true);
  CHECK_THAT(failed[0]["error_message"].get<std::string>(),
             Catch::Matchers::StartsWith("capacity error: prompts.long: needs 5200 positions"));
  for (const char* time : {"real_time", "cpu_time"}) CHECK(failed[0][time] == 0.0);
  const auto wrong = rows_of(document, "demo/italy/engine/decode");
  CHECK(wrong[0]["error_occurred"] == true);
  CHECK(wrong[0]["error_message"] == "INVALID: the outputs disagree: row 0 parts at step 5");
  CHECK(wrong[0]["real_time"].get<double>() > 0);
}

TEST_CASE("every row has what its readers ask for", "[report][gbench]") {
  const Json document = exported(sample());
  CHECK(document["context"]["caches"].is_array());  // Bencher
  std::string last;
  std::vector<std::string> names;
  for (const Json& row : document["benchmarks"]) {
    for (const char* key : {"name", "run_name", "run_type", "time_unit"}) CHECK(row[key].is_string());
    for (const char* key : {"real_time", "cpu_time", "iterations", "threads", "repetitions", "repetition_index"})
      CHECK(row[key].is_number());
    if (row["name"] != last) names.push_back(row["name"].get<std::string>());
    last = row["name"].get<std::string>();
  }
  std::sort(names.begin(), names.end());
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());  // a benchmark's rows stand together
}

TEST_CASE("the context is what the record knows of the machine", "[report][gbench]") {
  Json record = sample();
  const Json context = exported(record)["context"];
  CHECK(context["date"] == "2026-11-22T10:15:00Z");
  CHECK(context["host_name"] == "");
  CHECK(context["executable"] == "kvproof");
  CHECK(context["num_cpus"] == 2);
  CHECK(context["mhz_per_cpu"] == 0);
  CHECK(context["cpu_scaling_enabled"] == false);
  CHECK(context["load_avg"] == Json({0.78, 0.5, 0.24}));
  CHECK(context["library_build_type"] == "release");
  CHECK(context["caches"].size() == 3);
  CHECK(context["caches"][2] == Json({{"type", "Unified"}, {"level", 3}, {"size", 110100480}, {"num_sharing", 0}}));
  record["machine"]["governor"] = "powersave";
  record["machine"]["load_before"] = nullptr;
  record["machine"]["caches"]["l3_bytes"] = nullptr;
  record["kvproof"]["build_type"] = "Debug";
  const Json other = exported(record)["context"];
  CHECK(other["cpu_scaling_enabled"] == true);
  CHECK(other["load_avg"] == Json::array());
  CHECK(other["caches"].size() == 2);
  CHECK(other["library_build_type"] == "debug");
}

TEST_CASE("whatever texts a record has, its Google Benchmark JSON gives them back", "[report][gbench]") {
  const std::string text = GENERATE(from_range(testing::hostile_texts()));
  CAPTURE(text);
  const Json document = exported(testing::with_text_everywhere(sample(), text));
  CHECK(rows_of(document, text + "demo/france/naive/prefill").size() == 6);
  CHECK(document["context"]["executable"] == text + "kvproof");
}

TEST_CASE("a record of before runs verified becomes Google Benchmark JSON, too", "[report][gbench]") {
  const Json document = exported(testing::older_sample());
  CHECK(document["benchmarks"].size() == exported(sample())["benchmarks"].size());
}

TEST_CASE("Google Benchmark JSON of a damaged record is an error that names the field", "[report][gbench]") {
  Json record = sample();
  SECTION("a field is missing") {
    record["cases"][0]["paths"]["engine"]["samples"][3].erase("prefill_ns");
    CHECK_THROWS_WITH(render_gbench(record),
                      Catch::Matchers::Contains("/cases/0/paths/engine/samples/3/prefill_ns: expected a value"));
  }
  SECTION("a field has another type") {
    record["machine"]["cores"] = 1.5;
    CHECK_THROWS_WITH(render_gbench(record), Catch::Matchers::Contains("/machine/cores: expected an integer"));
  }
}
