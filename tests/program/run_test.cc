// kvproof run, plan, init and report: from a config to a record and a table.
#include "tests/program/program.h"

using namespace kvproof::testing;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr auto kTinyConfig =
    R"(checkpoints: [{name: tiny, synthetic: "d2,vocab_size=64,n_embd=32,n_head=2,sequence_len=64"}]
prompts:
  - {name: short, synthetic: {length: 6, seed: 1}}
  - {name: ids, tokens: [1, 2, 3]}
sampler: {temperature: 0, max_tokens: 5}
run: {repetitions: 3, threads: 1}
)";

// The records among its files: each has a journal beside it.
std::vector<fs::path> records_in(const fs::path& folder) {
  std::vector<fs::path> files;
  if (!fs::exists(folder)) return files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  return files;
}

}  // namespace

TEST_CASE("run writes a record below the current folder, prints its table, and report prints the same", "[program]") {
  const TempDir temp;
  write_file_of(temp / "tiny.yaml", kTinyConfig);
  const auto run = run_kvproof({"run", "tiny.yaml"}, in_folder(temp.path()));
  CAPTURE(run.out, run.err);
  REQUIRE(run.code == 0);
  const auto records = records_in(temp / "results/runs");
  REQUIRE(records.size() == 1);
  CHECK(run.last_error_line() == "record " + ("results/runs" / records[0].filename()).string());

  const auto record = Json::parse(read_file(records[0]));
  CHECK(record["schema"] == Json{{"name", "kvproof-run"}, {"version", 1}});
  CHECK(record["exit_code"] == 0);
  REQUIRE(record["cases"].size() == 2);
  for (const auto& each : record["cases"]) {
    CHECK(each["status"] == "ok");
    CHECK(each["agreement"]["verdict"] == "AGREE");
    CHECK(each["verification"] == Json{{"verdict", "PASS"}, {"index", 0}});
  }
  REQUIRE(record["machine"]["peaks"].size() == 1);
  CHECK(record["machine"]["peaks"][0]["read"].size() == 3);
  CHECK_THAT(run.out, Catch::Matchers::Contains("\n  peaks    1 thread, float32: reads in cache "));
  CHECK(record["cases"][0]["paths"]["engine"]["utilization"]["decode"]["mbu"]["median"] > 0.0);
  REQUIRE(record["verifications"].size() == 1);
  CHECK_THAT(run.out, Catch::Matchers::Contains("  verification  PASS  tiny float32: "));
  CHECK(record["cases"][0]["paths"]["engine"]["token_forwards"] == 6 + 4);
  CHECK(record["cases"][0]["paths"]["naive"]["token_forwards"] == 6 + 7 + 8 + 9 + 10);

  const auto report = run_kvproof({"report", records[0].string()});
  CHECK(report.code == 0);
  CHECK(report.out == run.out);
}

TEST_CASE("run in JSON is the record and nothing else, and --out and --set are obeyed", "[program]") {
  const TempDir temp;
  write_file_of(temp / "tiny.yaml", kTinyConfig);
  const auto run = run_kvproof({"run", temp / "tiny.yaml", "--format", "json", "--out", temp / "deep/record.json",
                                "--set", "sampler.max_tokens=2", "--set", "run.verify=off", "--set", "run.peaks=off"});
  CAPTURE(run.err);
  REQUIRE(run.code == 0);
  const auto record = run.json();
  CHECK(record == Json::parse(read_file(temp / "deep/record.json")));
  CHECK(record["cases"][0]["shape"]["N"] == 2);
  CHECK(record["cases"][0]["verification"]["verdict"] == "OFF");
  CHECK(record["verifications"].empty());
  CHECK(record["machine"]["peaks"].empty());
  CHECK(record["command"][1] == "run");
  const auto report = run_kvproof({"report", temp / "deep/record.json", "--format", "json"});
  CHECK(report.json() == record);
}

TEST_CASE("a failing case does not stop the others and makes the exit code non-zero", "[program]") {
  const TempDir temp;
  write_file_of(temp / "half.yaml",
                "checkpoints:\n"
                "  - {name: gone, base_dir: nowhere}\n"
                "  - {name: tiny, synthetic: \"d2,vocab_size=64,n_embd=32,n_head=2,sequence_len=64\"}\n"
                "prompts: [{name: ids, tokens: [1, 2, 3]}]\n"
                "sampler: {max_tokens: 4}\n"
                "run: {repetitions: 3}\n");
  const auto run = run_kvproof({"run", temp / "half.yaml", "--format", "json", "--out", temp / "record.json"});
  CHECK(run.code == 6);
  const auto record = run.json();
  CHECK(record["cases"][0]["status"] == "failed");
  CHECK(record["cases"][0]["error"]["kind"] == "checkpoint");
  CHECK(record["cases"][1]["status"] == "ok");
  CHECK(record["exit_code"] == 6);
}

TEST_CASE("plan lists the cases, their shapes, their work and about how long they take", "[program]") {
  const TempDir temp;
  write_file_of(temp / "tiny.yaml", kTinyConfig);
  const auto run = run_kvproof({"plan", temp / "tiny.yaml", "--format", "json"});
  CAPTURE(run.err);
  REQUIRE(run.code == 0);
  const auto document = run.json();
  REQUIRE(document["cases"].size() == 2);
  CHECK(document["cases"][0]["id"] == "tiny/short");
  CHECK(document["cases"][0]["shape"] == "pp6 tg5");
  CHECK(document["cases"][0]["naive_token_forwards"] == 40);
  CHECK(document["cases"][0]["engine_token_forwards"] == 10);
  CHECK(document["estimated_s"].get<double>() > 0);
  CHECK_THAT(run_kvproof({"plan", temp / "tiny.yaml"}).out, Catch::Matchers::Contains("2 cases, about "));
}

TEST_CASE("init writes a config that plan accepts, once", "[program]") {
  const TempDir temp;
  const auto here = in_folder(temp.path());
  CHECK(run_kvproof({"init"}, here).out == "kvproof.yaml\n");
  const auto written = read_file(temp / "kvproof.yaml");
  CHECK(run_kvproof({"plan", "kvproof.yaml"}, here).code == 0);
  const auto again = run_kvproof({"init"}, here);
  CHECK(again.code == 2);
  CHECK(again.err == "error: kvproof.yaml: exists already; name another file, or remove this one\n");
  CHECK(read_file(temp / "kvproof.yaml") == written);
  CHECK(run_kvproof({"init", "other.yaml"}, here).code == 0);
}

TEST_CASE("what init writes runs", "[program]") {
  const TempDir temp;
  const auto here = in_folder(temp.path());
  REQUIRE(run_kvproof({"init"}, here).code == 0);
  const auto run =
      run_kvproof({"run", "kvproof.yaml", "--set", "sampler.max_tokens=4", "--set", "run.repetitions=1"}, here);
  CAPTURE(run.out, run.err);
  CHECK(run.code == 0);
}
