// kvproof run that does not get to its end: killed, interrupted, gone on with.
#include <random>

#include "tests/program/program.h"

using namespace kvproof::testing;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

namespace {

constexpr auto kConfig = R"(checkpoints:
  - {name: one, synthetic: "d2,vocab_size=64,n_embd=32,n_head=2,sequence_len=256"}
  - {name: two, synthetic: "d2,vocab_size=64,n_embd=32,n_head=2,sequence_len=256,seed=2"}
prompts:
  - {name: short, synthetic: {length: 6, seed: 1}}
  - {name: rows, synthetic: {length: 9, seed: 2}, sampler: {temperature: 1, num_samples: 3}}
sampler: {temperature: 0, max_tokens: 150}
run: {repetitions: 12, threads: 1, peaks: off}
)";

RunOptions killed_after(const fs::path& folder, int milliseconds) {
  RunOptions options = in_folder(folder);
  options.kill_after = std::chrono::milliseconds(milliseconds);
  return options;
}

std::vector<Json> lines_of(const std::string& text) {
  std::vector<Json> lines;
  for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    lines.push_back(Json::parse(text.substr(begin, end - begin)));
  return lines;
}

// What the journal holds of a case's rounds, as it was written.
std::vector<std::string> rounds_of(const std::vector<Json>& lines, const std::string& id, const std::string& path) {
  std::vector<std::string> samples;
  for (const Json& line : lines) {
    if (line.contains("round") && line["case"] == id) samples.push_back(line[path].dump());
  }
  return samples;
}

void check_whole(const Json& record, const std::vector<Json>& journal) {
  REQUIRE(record["cases"].size() == 4);
  for (const Json& one : record["cases"]) {
    const auto id = one["id"].get<std::string>();
    CAPTURE(id, one["status"], one.value("error", Json()).dump());
    REQUIRE(one["status"] == "ok");
    CHECK(one["agreement"]["verdict"] == "AGREE");
    CHECK(record["verifications"][one["verification"]["index"].get<int>()]["checkpoint"] == one["checkpoint"]);
    for (const char* path : {"naive", "engine"}) {
      const Json& samples = one["paths"][path]["samples"];
      std::vector<std::string> found;
      REQUIRE(samples.size() == 12);
      for (int i = 0; i < 12; ++i) {
        CHECK(samples[i]["repetition"] == i);
        found.push_back(samples[i].dump());
      }
      CHECK(found == rounds_of(journal, id, path));
    }
  }
  CHECK(record["partial"] == false);
  CHECK(record["checkpoints"].size() == 2);
  CHECK(record["verifications"].size() == 2);
}

}  // namespace

TEST_CASE("a run that is killed twenty times is gone on with: nothing measured is lost, missing or doubled",
          "[program]") {
  const TempDir temp;
  write_file_of(temp / "two.yaml", kConfig);
  std::mt19937 random(20);
  std::uniform_int_distribution<int> pause(150, 900);
  const fs::path journal = temp / "out.jsonl";
  auto killed = run_kvproof({"run", "two.yaml", "--out", "out.json"}, killed_after(temp.path(), 600));
  for (int kill = 1; kill < 20 && killed.code != 0; ++kill) {
    const std::string before = read_file(journal);
    killed = run_kvproof({"run", "--resume", "out.jsonl"}, killed_after(temp.path(), pause(random)));
    CAPTURE(kill, killed.code, killed.err);
    REQUIRE((killed.code == 0 || killed.code == 128 + 9));
    const std::string whole = before.substr(0, before.rfind('\n') + 1);
    CHECK(read_file(journal).substr(0, whole.size()) == whole);
  }
  if (killed.code != 0) {
    const auto last = run_kvproof({"run", "--resume", "out.jsonl"}, in_folder(temp.path()));
    CAPTURE(last.err);
    REQUIRE(last.code == 0);
    CHECK(last.last_error_line() == "record out.json");
  }
  const auto record = Json::parse(read_file(temp / "out.json"));
  check_whole(record, lines_of(read_file(journal)));
  CHECK(record["sessions"].size() > 1);
  CHECK(std::vector<std::string>(record["command"].begin() + 1, record["command"].end()) ==
        std::vector<std::string>{"run", "two.yaml", "--out", "out.json"});

  const auto again = run_kvproof({"run", "--resume", "out.jsonl"}, in_folder(temp.path()));
  CHECK(again.code == 6);
  CHECK_THAT(again.err, Catch::Matchers::Contains("the run is finished; its record is "));
}

TEST_CASE("a line that a kill cut in half is dropped, and what it told is measured again", "[program]") {
  const TempDir temp;
  write_file_of(temp / "two.yaml", kConfig);
  REQUIRE(run_kvproof({"run", "two.yaml", "--out", "out.json"}, in_folder(temp.path())).code == 0);
  const std::string all = read_file(temp / "out.jsonl");
  const std::size_t middle = all.find("\"round\":7");
  const std::string begun = all.substr(0, middle + 20);  // in the middle of the line
  write_file_of(temp / "out.jsonl", begun);
  fs::remove(temp / "out.json");
  const auto run = run_kvproof({"run", "--resume", "out.jsonl"}, in_folder(temp.path()));
  CAPTURE(run.err);
  REQUIRE(run.code == 0);
  const std::string now = read_file(temp / "out.jsonl"), kept = begun.substr(0, begun.rfind('\n') + 1);
  CHECK(now.substr(0, kept.size()) == kept);
  check_whole(Json::parse(read_file(temp / "out.json")), lines_of(now));
}

TEST_CASE("Ctrl-C leaves a record of what was measured, which says that it is partial, and how to go on", "[program]") {
  const TempDir temp;
  write_file_of(temp / "two.yaml", kConfig);
  RunOptions options = in_folder(temp.path());
  options.interrupt_after = std::chrono::milliseconds(3000);
  const auto run =
      run_kvproof({"run", "two.yaml", "--out", "out.json", "--set", "run.repetitions=4000"}, options);
  CAPTURE(run.err);
  CHECK(run.code == 130);
  CHECK(run.last_error_line() == "interrupted; to go on: kvproof run --resume " + (fs::path("out.jsonl")).string());
  const auto record = Json::parse(read_file(temp / "out.json"));
  CHECK(record["partial"] == true);
  CHECK(record["exit_code"] == 130);
  REQUIRE(record["cases"].size() == 4);
  const Json& begun = record["cases"][0];
  REQUIRE(begun["status"] == "ok");
  CHECK(begun["agreement"]["explanation"] ==
        "the logits were not compared: the run was interrupted; 1 of 1 rows have equal tokens");
  CHECK(begun["verification"]["verdict"] == "OFF");
  CHECK(begun["speedup"]["verified"] == false);
  const auto rounds = rounds_of(lines_of(read_file(temp / "out.jsonl")), "one/short", "engine");
  CHECK(rounds.size() > 0);
  REQUIRE(begun["paths"]["engine"]["samples"].size() == rounds.size());
  CHECK(begun["paths"]["engine"]["samples"].back().dump() == rounds.back());
  CHECK(record["cases"][3]["error"]["kind"] == "interrupted");
  CHECK_THAT(run.out, Catch::Matchers::Contains("Exit code 130: interrupted"));
  CHECK(run_kvproof({"report", temp / "out.json"}).out == run.out);

  const auto fresh = run_kvproof({"run", "two.yaml", "--out", "out.json"}, in_folder(temp.path()));
  CHECK(fresh.code == 6);
  CHECK_THAT(fresh.err, Catch::Matchers::Contains("out.jsonl: holds a run that was cut off: kvproof run --resume out.jsonl"));
}

TEST_CASE("a run is gone on with by the same config alone, and nothing else is given", "[program]") {
  const TempDir temp;
  write_file_of(temp / "two.yaml", kConfig);
  run_kvproof({"run", "two.yaml", "--out", "out.json"}, killed_after(temp.path(), 700));
  const auto beside = run_kvproof({"run", "two.yaml", "--resume", "out.jsonl"}, in_folder(temp.path()));
  CHECK(beside.code == 2);
  CHECK_THAT(beside.err, Catch::Matchers::Contains("CONFIG: cannot be given beside --resume"));

  std::string changed = kConfig;
  changed.replace(changed.find("max_tokens: 150"), 15, "max_tokens: 151");
  write_file_of(temp / "two.yaml", changed);
  const auto other = run_kvproof({"run", "--resume", "out.jsonl"}, in_folder(temp.path()));
  CHECK(other.code == 6);
  CHECK_THAT(other.err, Catch::Matchers::Contains("expected the config that it was begun with"));

  write_file_of(temp / "odd.jsonl", "{\"x\": 1}\n");
  CHECK_THAT(run_kvproof({"run", "--resume", "odd.jsonl"}, in_folder(temp.path())).err,
             Catch::Matchers::Contains("expected the .jsonl file of a run that was cut off"));
  CHECK_THAT(run_kvproof({"run", "--resume", "none.jsonl"}, in_folder(temp.path())).err,
             Catch::Matchers::Contains("none.jsonl: no such file"));
}
