// kvproof-bench --config: a config's cases as Google Benchmark's benchmarks.
#include <map>

#include "tests/program/program.h"

using namespace kvproof::testing;
using Json = nlohmann::json;
using Words = std::vector<std::string>;
using Catch::Matchers::Contains;

namespace {

const std::string kTiny = "d2,vocab_size=64,n_embd=32,n_head=2,sequence_len=64";
const std::string kTinyConfig = "checkpoints: [{name: tiny, synthetic: \"" + kTiny +
                                "\"}]\n"
                                "prompts:\n"
                                "  - {name: short, synthetic: {length: 6, seed: 1}}\n"
                                "  - {name: one, tokens: [1, 2, 3], sampler: {max_tokens: 1}}\n"
                                "sampler: {temperature: 0, max_tokens: 5}\n"
                                "run: {threads: 1}\n";

ProgramRun bench(const Words& words) {
  RunOptions options;
  options.program = KVPROOF_BENCH;
  return run_kvproof(words, options);
}

/// With a config of these words.
ProgramRun bench_of(const std::string& config, const Words& words) {
  const TempDir temp;
  write_file_of(temp / "bench.yaml", config);
  return bench(Words{"--config", temp / "bench.yaml"} + words);
}

const std::string kMeasuredBy = "/process_time/manual_time";

/// The rows of Google Benchmark's JSON that are no aggregates, kMeasuredBy taken off their names.
std::vector<Json> rows_of(const ProgramRun& run) {
  INFO("stderr: " << run.err);
  std::vector<Json> rows;
  const Json document = Json::parse(run.out);
  for (Json row : document["benchmarks"]) {
    if (row["run_type"] != "iteration") continue;
    const std::string name = row["run_name"];
    REQUIRE(name.size() > kMeasuredBy.size());
    CHECK(name.substr(name.size() - kMeasuredBy.size()) == kMeasuredBy);
    row["name"] = name.substr(0, name.size() - kMeasuredBy.size());
    rows.push_back(row);
  }
  return rows;
}

const Words kQuickJson = {"--benchmark_format=json", "--benchmark_min_time=0.001"};

/// tok_per_s of a row times its time: the tokens of an iteration, whatever the clock said.
double tokens_of(const Json& row) {
  CHECK(row["real_time"] > 0.0);
  CHECK(row["time_unit"] == "ns");
  return row["tok_per_s"].get<double>() * row["real_time"].get<double>() * 1e-9;
}

/// Each expected row is there so many times, and no other.
void check_tokens(const std::vector<Json>& rows, const std::map<std::string, double>& expected, std::size_t times) {
  REQUIRE(rows.size() == expected.size() * times);
  for (const Json& row : rows) {
    CAPTURE(row);
    CHECK_FALSE(row.contains("error_occurred"));
    REQUIRE(expected.count(row["name"]) == 1);
    CHECK(tokens_of(row) == Approx(expected.at(row["name"])).epsilon(1e-9));
  }
}

const std::string kGone = "checkpoints: [{name: gone, base_dir: nowhere}]\nprompts: [{name: ids, tokens: [1, 2, 3]}]\n";

}  // namespace

TEST_CASE("kvproof-bench lists a config's cases by path and phase without opening a checkpoint", "[program][bench]") {
  const auto run = bench_of(kGone +
                                "sampler: {max_tokens: 5}\n"
                                "sweep: {sampler.max_tokens: [1, 2], run.dtype: [float32, bfloat16]}\n",
                            {"--benchmark_list_tests"});
  CAPTURE(run.err);
  REQUIRE(run.code == 0);
  std::string expected;
  for (const std::string dtype : {"float32", "bfloat16"}) {  // cases of one model stand together
    for (const std::string most : {"1", "2"}) {
      for (const std::string path : {"naive", "engine"}) {
        const std::string begin = "gone/ids/sampler.max_tokens=" + most + "/run.dtype=" + dtype + "/" + path + "/";
        expected += begin + "prefill" + kMeasuredBy + "\n";
        if (most != "1") expected += begin + "decode" + kMeasuredBy + "\n";  // one token has no decode
        expected += begin + "e2e" + kMeasuredBy + "\n";
      }
    }
  }
  CHECK(run.out == expected);
}

TEST_CASE("kvproof-bench times the phases of both paths of the cases that a filter matches", "[program][bench]") {
  const auto run = bench_of(kTinyConfig, kQuickJson + Words{"--benchmark_filter=tiny/short/"});
  CHECK(run.code == 0);
  const auto rows = rows_of(run);
  check_tokens(rows,
               {{"tiny/short/naive/prefill", 6},
                {"tiny/short/naive/decode", 1},
                {"tiny/short/naive/e2e", 5},
                {"tiny/short/engine/prefill", 6},
                {"tiny/short/engine/decode", 1},
                {"tiny/short/engine/e2e", 5}},
               1);
  for (const Json& row : rows) {
    CAPTURE(row);
    CHECK(row["label"] == "pp6 tg5");
    CHECK(row["cpu_time"] > 0.0);
    const bool decodes = row["name"] == "tiny/short/naive/decode" || row["name"] == "tiny/short/engine/decode";
    if (decodes) CHECK(row["iterations"].get<int64_t>() % 4 == 0);  // the gaps of whole generations
  }
}

TEST_CASE("kvproof-bench counts rows and depth as a run does, in whatever order its benchmarks come",
          "[program][bench]") {
  const auto config = "checkpoints: [{name: tiny, synthetic: \"" + kTiny +
                      "\"}]\n"
                      "prompts: [{name: deep, synthetic: {length: 6, depth: 10}}]\n"
                      "sampler: {temperature: 1, max_tokens: 5, num_samples: 3}\n"
                      "run: {threads: 1}\n"
                      "sweep: {run.dtype: [float32, bfloat16]}\n";
  std::map<std::string, double> expected;
  for (const std::string dtype : {"float32", "bfloat16"}) {
    const std::string id = "tiny/deep/run.dtype=" + dtype;
    expected.insert({{id + "/naive/prefill", 3 * 16},
                     {id + "/naive/decode", 3},
                     {id + "/naive/e2e", 15},
                     {id + "/engine/prefill", 6},
                     {id + "/engine/decode", 3},
                     {id + "/engine/e2e", 15}});
  }
  const auto rows = rows_of(
      bench_of(config, kQuickJson + Words{"--benchmark_repetitions=2", "--benchmark_enable_random_interleaving=true"}));
  check_tokens(rows, expected, 2);
  for (const Json& row : rows) CHECK(row["label"] == "pp6 tg5 @ d10 x3");
}

TEST_CASE("kvproof-bench gives the naive path the tokens that the engine's tools forced", "[program][bench]") {
  const auto run =
      bench(Words{"--config", source_path("configs/demo.yaml"), "--benchmark_filter=tool/.*/e2e"} + kQuickJson);
  const auto rows = rows_of(run);
  REQUIRE(rows.size() == 2);
  check_tokens(rows, {{"demo/tool/naive/e2e", 15}, {"demo/tool/engine/e2e", 15}}, 1);
}

TEST_CASE("a case that cannot run names its error in kvproof-bench, and the others go on", "[program][bench]") {
  const auto config =
      "checkpoints:\n"
      "  - {name: gone, base_dir: nowhere}\n"
      "  - {name: tiny, synthetic: \"" +
      kTiny +
      "\"}\n"
      "prompts: [{name: fits, tokens: [1, 2, 3]}, {name: long, tokens: [1, 2, 3], sampler: {max_tokens: 5000}}]\n"
      "sampler: {max_tokens: 4}\n"
      "run: {threads: 1}\n";
  const auto run = bench_of(config, kQuickJson + Words{"--benchmark_filter=engine/(decode|e2e)"});
  CHECK(run.code == 6);
  const auto rows = rows_of(run);
  REQUIRE(rows.size() == 8);
  for (const Json& row : rows) {
    CAPTURE(row);
    const std::string name = row["name"];
    if (name.rfind("gone/", 0) == 0) {
      CHECK_THAT(row["error_message"].get<std::string>(), Contains("checkpoint error: ") && Contains("nowhere"));
    } else if (name.rfind("tiny/long/", 0) == 0) {
      CHECK_THAT(row["error_message"].get<std::string>(), Contains("capacity error: "));
    } else {
      CHECK_FALSE(row.contains("error_occurred"));
      CHECK(row["real_time"] > 0.0);
    }
  }
}

TEST_CASE("an answer that ends at once has no decode for kvproof-bench to time", "[program][bench]") {
  // A question and its whole answer: the embedded model ends the turn.
  const auto config = "checkpoints: [{name: demo, base_dir: " + demo_flags().back() +
                      "}]\n"
                      "prompts: [{name: over, tokens: [2039, 2040, 87, 104, 279, 313, 258, 424, 267, 1485, 63, 2041, "
                      "2042, 581, 424, 267, 1485, 313, 1858, 46]}]\n"
                      "sampler: {temperature: 0, max_tokens: 8, stop: on}\n";
  const auto run = bench_of(config, kQuickJson + Words{"--benchmark_filter=engine/(decode|e2e)"});
  CHECK(run.code == 6);
  const auto rows = rows_of(run);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0]["error_message"] ==
        "measurement error: demo/over: one token was generated: there is no gap between "
        "tokens; sampler.stop: off goes on");
  CHECK(tokens_of(rows[1]) == Approx(1).epsilon(1e-9));
}

TEST_CASE("kvproof-bench refuses what kvproof refuses, in the same words, and measures nothing", "[program][bench]") {
  const TempDir temp;
  write_file_of(temp / "bad.yaml", kTinyConfig + "sampler: {max_tokens: 0}\n");
  write_file_of(temp / "good.yaml", kTinyConfig);
  for (const Words& words : {Words{temp / "bad.yaml"}, Words{temp / "none.yaml"},
                             Words{temp / "good.yaml", "--set", "sampler.max_token=3"}}) {
    CAPTURE(words);
    const auto expected = run_kvproof(Words{"run"} + words);
    CHECK(expected.code == 2);
    const auto run = bench(Words{"--config"} + words + kQuickJson);
    CHECK(run.code == 2);
    CHECK(run.err == expected.err);
    CHECK(run.out.empty());
  }
}

TEST_CASE("--set reaches the cases of kvproof-bench", "[program][bench]") {
  const auto run =
      bench_of(kTinyConfig, kQuickJson + Words{"--benchmark_filter=short/engine/e2e", "--set", "sampler.max_tokens=3",
                                               "--set=prompts.0.synthetic.length=9"});
  const auto rows = rows_of(run);
  check_tokens(rows, {{"tiny/short/engine/e2e", 3}}, 1);
  CHECK(rows[0]["label"] == "pp9 tg3");
}

TEST_CASE("kvproof-bench takes another engine in a process of its own", "[program][bench]") {
  const std::string ours = std::string("'") + KVPROOF_PROGRAM + "' subject --threads 1 --synthetic " + kTiny;
  const auto run = bench_of("checkpoints: [{name: child, subject: " + Json(ours).dump() +
                                "}]\n"
                                "prompts: [{name: ids, tokens: [1, 2, 3]}]\n"
                                "sampler: {max_tokens: 4}\n",
                            kQuickJson + Words{"--benchmark_filter=prefill|engine/decode"});
  CHECK(run.code == 0);
  check_tokens(rows_of(run),
               {{"child/ids/naive/prefill", 3}, {"child/ids/engine/prefill", 3}, {"child/ids/engine/decode", 1}}, 1);
}

TEST_CASE("kvproof-bench says what is wrong with its command line", "[program][bench]") {
  struct Fault {
    Words words;
    std::string message;
  };
  for (const Fault& fault :
       {Fault{{"--config"}, "error: --config: needs a value; kvproof-bench --help lists what there is\n"},
        {{"--config", "a.yaml", "--config=b.yaml"}, "error: --config: was given twice; give it once\n"},
        {{"--set", "a=1"}, "error: --set: overrides a value of a config, and there is none; give --config FILE\n"},
        {{"--confg=a.yaml"}, std::string(KVPROOF_BENCH) + ": error: unrecognized command-line flag: --confg=a.yaml\n"},
        {{"--benchmark_filter=nosuch"}, "Failed to match any benchmarks against regex: nosuch\n"}}) {
    CAPTURE(fault.words);
    const auto run = bench(fault.words);
    CHECK(run.code == 2);
    CHECK(run.err == fault.message);
    CHECK(run.out.empty());
  }
}

TEST_CASE("kvproof-bench without a config lists its parts, and its help names its own flags first",
          "[program][bench]") {
  const auto parts = bench({"--benchmark_list_tests", "--benchmark_filter=sample/greedy"});
  CHECK(parts.code == 0);
  CHECK(parts.out == "sample/greedy/vocab:2048\nsample/greedy/vocab:32768\n");
  const auto help = bench({"--help", "--config", "none.yaml"});
  CHECK(help.code == 0);
  const auto config = help.out.find("  --config FILE "), set = help.out.find("  --set A.B=VALUE ");
  const auto theirs = help.out.find("[--benchmark_list_tests=");
  REQUIRE(theirs != std::string::npos);
  CHECK(config < set);
  CHECK(set < theirs);
}
