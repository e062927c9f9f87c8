// kvproof run --shard, and kvproof merge, which makes one record of its parts.
#include <fstream>

#include "tests/program/program.h"
#include "tests/support/json_schema.h"

using namespace kvproof::testing;
using Catch::Matchers::Contains;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

namespace {

/// Two models in two dtypes: four groups. A prompt too long for the rotary tables fails; rows are drawn, a depth is kept.
constexpr auto kConfig =
    R"(checkpoints:
  - {name: one, synthetic: "d2,vocab_size=64,n_embd=32,n_head=2,sequence_len=32"}
  - {name: two, synthetic: "d2,vocab_size=64,n_embd=64,n_head=2,sequence_len=32,seed=2"}
prompts:
  - {name: short, synthetic: {length: 6, seed: 1}}
  - {name: rows, synthetic: {length: 9, seed: 2}, sampler: {temperature: 1, num_samples: 3}}
  - {name: behind, synthetic: {length: 5, depth: 20, seed: 3}}
  - {name: too_long, synthetic: {length: 318, seed: 4}}
sampler: {max_tokens: 12}
run: {repetitions: 2, threads: 1, peaks: off}
sweep: {run.dtype: [float32, bfloat16]}
)";

Json record_of(const fs::path& file) { return Json::parse(read_file(file)); }

/// What of a record no machine and no moment changes.
Json exact_part(const Json& record) {
  Json cases = Json::array();
  for (const Json& one : record["cases"]) {
    Json kept = {{"id", one["id"]}, {"checkpoint", one["checkpoint"]}, {"status", one["status"]}};
    if (one["status"] != "ok") {
      kept["error"] = one["error"];
    } else {
      for (const char* key : {"prompt", "settings", "shape", "equals_fresh_engine", "agreement"}) kept[key] = one[key];
      kept["validity"] = one["validity"];
      kept["verification"] = one["verification"]["verdict"];
      for (const char* key :
           {"work_ratio", "ceiling", "weight_bytes_stored", "weight_bytes_read", "kv_bytes_per_token"})
        kept["work"][key] = one["work"][key];
      for (const char* path : {"naive", "engine"})
        for (const char* key : {"rows", "token_forwards", "kv_cache_bytes"}) kept[path][key] = one["paths"][path][key];
    }
    cases.push_back(kept);
  }
  Json verdicts = Json::object();  // a group's, however many shards verified it
  for (const Json& one : record["verifications"])
    verdicts[one["checkpoint"].get<std::string>() + " " + one["dtype"].get<std::string>()] = one["verdict"];
  return {{"config", record["config"]},
          {"kvproof", record["kvproof"]},
          {"checkpoints", record["checkpoints"]},
          {"cases", cases},
          {"verifications", verdicts},
          {"exit_code", record["exit_code"]},
          {"partial", record["partial"]},
          {"fingerprint", record["machine"]["fingerprint"]}};
}

std::string part_name(int index, int count) { return std::to_string(index) + "of" + std::to_string(count) + ".json"; }

/// Runs all shards; their records, relative to the folder.
std::vector<std::string> run_shards(const fs::path& folder, int count, int expected_code) {
  std::vector<std::string> files;
  int worst = 0;
  for (int index = 1; index <= count; ++index) {
    files.push_back(part_name(index, count));
    const auto run = run_kvproof(
        {"run", "all.yaml", "--shard", std::to_string(index) + "/" + std::to_string(count), "--out", files.back()},
        in_folder(folder));
    CAPTURE(index, count, run.err);
    REQUIRE((run.code == 0 || run.code == expected_code));
    worst = std::max(worst, run.code);
  }
  CHECK(worst == expected_code);
  return files;
}

}  // namespace

TEST_CASE("one, two and three shards, merged, are the record of the whole in everything that is exact",
          "[program][shard]") {
  const TempDir temp;
  write_file_of(temp / "all.yaml", kConfig);
  const auto here = in_folder(temp.path());
  const auto whole = run_kvproof({"run", "all.yaml", "--out", "whole.json"}, here);
  REQUIRE(whole.code == 6);  // too_long cannot run
  const Json expected = record_of(temp / "whole.json");
  REQUIRE(expected["cases"].size() == 16);
  CHECK_FALSE(expected.contains("shard"));
  const JsonSchema schema(Json::parse(std::ifstream(source_path("results/record.schema.json"))));
  for (const int count : {1, 2, 3}) {
    CAPTURE(count);
    const auto files = run_shards(temp.path(), count, 6);
    for (const std::string& file : files) {
      const Json part = record_of(temp / file);
      CHECK(schema.errors(part) == std::vector<std::string>{});
      CHECK(part["config"]["hash"] == expected["config"]["hash"]);
      CHECK(part["shard"]["cases"].size() == 16);
      CHECK(part["shard"]["count"] == count);
      CHECK(part["cases"].size() < (count == 1 ? 17 : 16));
    }
    const auto merged =
        run_kvproof(std::vector<std::string>{"merge"} + files + std::vector<std::string>{"--out", "all.json"}, here);
    CAPTURE(merged.err);
    CHECK(merged.code == 6);
    CHECK(merged.err == "record all.json\n");
    const Json record = record_of(temp / "all.json");
    CHECK(schema.errors(record) == std::vector<std::string>{});
    CHECK(Json::diff(exact_part(expected), exact_part(record)) == Json::array());
    for (const Json& one : record["cases"]) {
      if (one["status"] != "ok") continue;
      const Json& verification = record["verifications"][one["verification"]["index"].get<int>()];
      CHECK(verification["checkpoint"] == one["checkpoint"]);
      CHECK(verification["dtype"] == one["settings"]["run"]["dtype"]);
    }
    for (const char* format : {"table", "markdown", "csv", "junit", "gbench"})
      CHECK(run_kvproof({"report", "all.json", "--to", format}, here).code == 0);
    CHECK(run_kvproof({"report", "all.json", "--to", "html", "--out", "all.html"}, here).code == 0);
  }
}

TEST_CASE("a shard that no case is left for writes a record without cases, and is merged with the others",
          "[program][shard]") {
  const TempDir temp;
  write_file_of(temp / "all.yaml", kConfig);
  const auto here = in_folder(temp.path());
  const std::vector<std::string> few = {"--set", "run.verify=off", "--set", "sweep.run.dtype=[float32]"};
  std::vector<std::string> files;
  for (int index = 1; index <= 9; ++index) {
    files.push_back(part_name(index, 9));
    const auto run = run_kvproof(
        std::vector<std::string>{"run", "all.yaml", "--shard", std::to_string(index) + "/9", "--out", files.back()} +
            few,
        here);
    CAPTURE(run.err);
    REQUIRE((run.code == 0 || run.code == 6));
  }
  const Json last = record_of(temp / files.back());
  CHECK(last["cases"].empty());
  CHECK(last["exit_code"] == 0);
  for (const char* format : {"table", "markdown", "csv", "junit", "gbench"}) {
    const auto report = run_kvproof({"report", files.back(), "--to", format}, here);
    CAPTURE(format, report.err);
    CHECK(report.code == 0);
  }
  const auto merged =
      run_kvproof(std::vector<std::string>{"merge"} + files + std::vector<std::string>{"--out", "all.json"}, here);
  CAPTURE(merged.err);
  CHECK(merged.code == 6);
  CHECK(record_of(temp / "all.json")["cases"].size() == 8);
}

TEST_CASE("plan --shard lists what that shard would run", "[program][shard]") {
  const TempDir temp;
  write_file_of(temp / "all.yaml", kConfig);
  const auto here = in_folder(temp.path());
  std::vector<std::string> planned;
  // too_long cannot be planned: without it.
  const std::vector<std::string> fit = {"--set", "prompts.3.synthetic.length=30"};
  for (const char* shard : {"1/2", "2/2"}) {
    const auto plan =
        run_kvproof(std::vector<std::string>{"plan", "all.yaml", "--shard", shard, "--format", "json"} + fit, here);
    CAPTURE(plan.err);
    REQUIRE(plan.code == 0);
    const auto document = plan.json();
    CHECK(document["shard"]["index"] == shard[0] - '0');
    for (std::size_t i = 0, own = 0; i < document["shard"]["cases"].size(); ++i) {
      if (document["shard"]["of"][i] != document["shard"]["index"]) continue;
      CHECK(document["cases"][own++]["id"] == document["shard"]["cases"][i]);
      planned.push_back(document["shard"]["cases"][i]);
    }
  }
  CHECK(planned.size() == 16);
  CHECK_THAT(run_kvproof(std::vector<std::string>{"plan", "all.yaml", "--shard", "2/2"} + fit, here).out,
             Contains("shard 2 of 2: ") && Contains(" of 16 cases; kvproof run --shard runs these\n"));
  CHECK(run_kvproof({"plan", "all.yaml", "--format", "json", "--set", "prompts.3.synthetic.length=30"}, here)
            .json()["shard"]
            .is_null());
}

TEST_CASE("a shard that is gone on with keeps its cases", "[program][shard]") {
  const TempDir temp;
  write_file_of(temp / "all.yaml", kConfig);
  const auto here = in_folder(temp.path());
  REQUIRE(run_kvproof({"run", "all.yaml", "--shard", "1/2", "--out", "part.json"}, here).code != 2);
  const Json first = record_of(temp / "part.json");
  // As if it had been killed before its first case.
  const std::string journal = read_file(temp / "part.jsonl");
  write_file_of(temp / "part.jsonl", journal.substr(0, journal.find('\n') + 1));
  fs::remove(temp / "part.json");
  const auto refused = run_kvproof({"run", "--resume", "part.jsonl", "--shard", "1/2"}, here);
  CHECK(refused.code == 2);
  CHECK(refused.err ==
        "error: --shard: cannot be given beside --resume: the journal says what was run, and where to\n");
  const auto run = run_kvproof({"run", "--resume", "part.jsonl"}, here);
  CAPTURE(run.err);
  const Json record = record_of(temp / "part.json");
  CHECK(record["shard"] == first["shard"]);
  CHECK(Json::diff(exact_part(first), exact_part(record)) == Json::array());
}

TEST_CASE("--max-time is for the shard alone", "[program][shard][max_time]") {
  const TempDir temp;
  write_file_of(temp / "all.yaml", kConfig);
  const auto run = run_kvproof({"run", "all.yaml", "--shard", "1/3", "--max-time", "1h", "--out", "part.json", "--set",
                                "prompts.3.synthetic.length=30", "--set", "run.verify=off"},
                               in_folder(temp.path()));
  CAPTURE(run.err);
  CHECK(run.code == 0);
  CHECK_THAT(run.err, Contains("shard 1 of 3: "));
  CHECK(record_of(temp / "part.json")["max_time_s"] == 3600.0);
}

TEST_CASE("a shard is K of N; anything else is refused before anything is opened", "[program][shard]") {
  const TempDir temp;
  write_file_of(temp / "all.yaml", kConfig);
  for (const char* command : {"run", "plan"}) {
    for (const char* bad :
         {"3/2", "0/4", "x", "1", "/", "1/", "/2", "1/2/3", "-1/2", "1/0", "+1/2", " 1/2", "1/10001", "1.0/2", ""}) {
      CAPTURE(command, bad);
      const auto run = run_kvproof({command, "all.yaml", "--shard", bad}, in_folder(temp.path()));
      CHECK(run.code == 2);
      CHECK(run.err ==
            std::string("error: --shard: must be K/N, K from 1 to N and N from 1 to 10000, such as 2/4 for the "
                        "second of four; got \"") +
                bad + "\"\n");
    }
  }
  CHECK_FALSE(fs::exists(temp.path() / "results"));
}

TEST_CASE("a checkpoint that is not there ends a shard before anything is run", "[program][shard]") {
  const TempDir temp;
  write_file_of(temp / "all.yaml",
                "checkpoints: [{name: a, synthetic: d2}, {name: b, base_dir: gone}]\nprompts: [{name: p, text: hi}]\n");
  const auto run = run_kvproof({"run", "all.yaml", "--shard", "1/2"}, in_folder(temp.path()));
  CHECK(run.code != 0);
  CHECK_FALSE(fs::exists(temp.path() / "results"));
}

TEST_CASE("a shard's own file name says which it is", "[program][shard]") {
  const TempDir temp;
  write_file_of(temp / "all.yaml", kConfig);
  const auto run = run_kvproof({"run", "all.yaml", "--shard", "40/40"}, in_folder(temp.path()));
  CHECK(run.code == 0);
  CHECK_THAT(run.last_error_line(), Contains("-shard40of40.json"));
}

TEST_CASE("merge refuses what it cannot put together, and writes nothing then", "[program][shard]") {
  const TempDir temp;
  write_file_of(temp / "all.yaml", kConfig);
  const auto here = in_folder(temp.path());
  const std::vector<std::string> quick = {"--set", "run.verify=off", "--set", "sweep.run.dtype=[float32]"};
  for (const char* shard : {"1/2", "2/2"})
    run_kvproof(
        std::vector<std::string>{"run", "all.yaml", "--shard", shard, "--out", std::string(1, shard[0]) + ".json"} +
            quick,
        here);
  run_kvproof(std::vector<std::string>{"run", "all.yaml", "--out", "whole.json"} + quick, here);
  const std::string first = read_file(temp / "1.json");
  struct Row {
    std::vector<std::string> words;
    int code;
    std::string error;
  };
  const std::vector<Row> rows = {
      {{"merge", "--out", "all.json"},
       2,
       "error: RECORD: is missing; give the records that kvproof run --shard K/N wrote\n"},
      {{"merge", "1.json", "2.json"},
       2,
       "error: --out: is missing; give the file to write the record of the whole config to\n"},
      {{"merge", "1.json", "2.json", "--out", "./1.json"},
       2,
       "error: --out: is the record 1.json, which would be lost; give another file\n"},
      {{"merge", "whole.json", "--out", "all.json"},
       6,
       "whole.json: is the record of a whole run, which needs no merging"},
      {{"merge", "2.json", "--out", "all.json"},
       6,
       "kvproof run all.yaml --shard 1/2 --set run.verify=off --set 'sweep.run.dtype=[float32]'\n"},
      {{"merge", "1.json", "1.json", "2.json", "--out", "all.json"},
       6,
       "1.json: is shard 1/2, as 1.json is; give each shard once"},
      {{"merge", "1.json", "gone.json", "--out", "all.json"}, 6, "gone.json"},
      {{"merge", "1.json", "all.yaml", "--out", "all.json"}, 6, "all.yaml"},
  };
  for (const Row& row : rows) {
    const auto run = run_kvproof(row.words, here);
    CAPTURE(row.error, run.err);
    CHECK(run.code == row.code);
    CHECK_THAT(run.err, Contains(row.error));
    CHECK_FALSE(fs::exists(temp / "all.json"));
  }
  CHECK(read_file(temp / "1.json") == first);
  const auto json = run_kvproof({"merge", "1.json", "2.json", "--out", "all.json", "--format", "json"}, here);
  CHECK(json.json() == nlohmann::json::parse(read_file(temp / "all.json")));
  CHECK_THAT(run_kvproof({"merge", "all.json", "--out", "b.json"}, here).err, Contains("all.json: is merged already"));
}
