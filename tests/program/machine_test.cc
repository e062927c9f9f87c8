// kvproof machine: how fast it reads and multiplies.
#include "tests/program/program.h"

using namespace kvproof::testing;
using Json = nlohmann::json;

namespace {

ProgramRun machine(const std::vector<std::string>& words) {
  return run_kvproof(std::vector<std::string>{"machine", "--seconds", "0"} + words);
}

}  // namespace

TEST_CASE("machine measures every number of threads and dtype it is asked for, as in a run's record", "[program]") {
  const auto run =
      machine({"--threads", "1,2,1", "--dtype", "float32,bfloat16", "--shape", "8,96,64", "--format", "json"});
  CAPTURE(run.err);
  REQUIRE(run.code == 0);
  const auto document = run.json();
  const Json& facts = document["machine"];
  CHECK(facts["cores"].get<int>() >= 1);
  CHECK(facts["fingerprint"].get<std::string>().size() == 16);
  REQUIRE(facts["peaks"].size() == 4);
  std::vector<std::string> entries;
  for (const Json& peaks : facts["peaks"]) {
    CAPTURE(peaks);
    entries.push_back(peaks["dtype"].get<std::string>() + " " + peaks["threads"].dump());
    REQUIRE(peaks["read"].size() == 2);
    CHECK(peaks["read"][0]["working_set"] == "in_cache");
    CHECK(peaks["read"][1]["working_set"] == "out_of_cache");
    CHECK(peaks["read"][1]["bytes"] > peaks["read"][0]["bytes"]);
    for (const Json& read : peaks["read"]) {
      CHECK(read["bytes_per_s"] > 0.0);
      CHECK(read["ways"].size() == 2);
      CHECK(read["ways"][read["by"].get<std::string>()] == read["bytes_per_s"]);
    }
    REQUIRE(peaks["gemm"].size() == 2);
    CHECK(peaks["gemm"][0]["shape"] == "square");
    CHECK(peaks["gemm"][1]["m"] == 8);
    CHECK(peaks["gemm"][1]["n"] == 96);
    CHECK(peaks["gemm"][1]["k"] == 64);
    for (const Json& gemm : peaks["gemm"]) CHECK(gemm["flops_per_s"] > 0.0);
    CHECK(peaks["gemm"][0]["rounds"] == 2);  // one in each pass, whatever it takes
  }
  CHECK(entries == std::vector<std::string>{"float32 1", "bfloat16 1", "float32 2", "bfloat16 2"});
}

TEST_CASE("for people machine is a table below the CPU, its caches and its memory", "[program]") {
  const auto run = machine({"--threads", "1", "--dtype", "float32"});
  CAPTURE(run.out, run.err);
  REQUIRE(run.code == 0);
  for (const auto* line : {"machine  ", "\ncaches   L1d ", "\nmemory   ",
                           "\n                   reads GB/s                              multiplies GFLOP/s\n"
                           "threads  dtype     in cache            out of cache        square 1024\n"
                           "      1  float32 ",
                           "\nThe best rate of two passes, and the way that reached it. In cache: "}) {
    CHECK_THAT(run.out, Catch::Matchers::Contains(line));
  }
  CHECK_THAT(run.out, Catch::Matchers::Contains(" LibTorch\n"));
}

TEST_CASE("machine refuses what it cannot measure, and says what it can", "[program]") {
  struct Row {
    std::vector<std::string> words;
    std::string error;
  };
  const auto row = GENERATE(values<Row>({
      {{"--dtype", "float32,bfloat"}, "error: --dtype: \"bfloat\" has no peaks, did you mean \"bfloat16\"?\n"},
      {{"--dtype", "int8"},
       "error: --dtype: \"int8\" has no peaks; give some of float32, bfloat16, float16, float64\n"},
      {{"--dtype", ""}, "error: --dtype: \"\" has no peaks; give some of float32, bfloat16, float16, float64\n"},
      {{"--threads", "0"}, "error: --threads: item 1 must be an integer from 1 to 1024, got \"0\"; write 1,2,3\n"},
      {{"--shape", "512,768"}, "error: --shape: needs three sizes, as 512,3072,768, got 2\n"},
      {{"--shape", "32768,32768,32768"},
       "error: --shape: its matrices may have 268435456 elements in all, these have 3221225472\n"},
  }));
  const auto run = machine(row.words);
  CHECK(run.code == 2);
  CHECK(run.out.empty());
  CHECK(run.err == row.error);
}
