// --max-time of kvproof plan and run: repetitions that fit, chosen aloud.
#include "tests/program/program.h"

using namespace kvproof::testing;
using Catch::Matchers::Contains;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

namespace {

constexpr auto kConfig =
    R"(checkpoints: [{name: tiny, synthetic: "d2,vocab_size=64,n_embd=64,n_head=2,sequence_len=256"}]
prompts:
  - {name: one, synthetic: {length: 200, seed: 1}}
  - {name: two, synthetic: {length: 100, seed: 2}}
  - {name: given, synthetic: {length: 10, seed: 3}, run: {repetitions: 2}}
sampler: {max_tokens: 100}
run: {threads: 1, peaks: off, verify: off}
)";

std::string seconds_text(double seconds) { return std::to_string(seconds) + "s"; }

/// Of both cases whose repetitions are auto.
bool is_lowered(const Json& planned) {
  const Json& one = planned["cases"][0];
  return one["repetitions"] < one["auto_repetitions"];
}

/// The times to try: between what 3 and what 12 repetitions take. Estimates differ from run to run of the program.
std::vector<double> times_between(double estimated_s) {
  return {0.7 * estimated_s, 0.55 * estimated_s, 0.8 * estimated_s, 0.65 * estimated_s, 0.9 * estimated_s};
}

double estimated_s(const fs::path& config) {
  return run_kvproof({"plan", config, "--format", "json"}).json()["estimated_s"];
}

void write_lines(const fs::path& file, const std::vector<Json>& lines) {
  std::string text;
  for (const Json& line : lines) text += line.dump() + "\n";
  write_file_of(file, text);
}

}  // namespace

TEST_CASE("plan says how many repetitions it counts on", "[program][max_time]") {
  const TempDir temp;
  write_file_of(temp / "tiny.yaml", kConfig);
  const auto document = run_kvproof({"plan", temp / "tiny.yaml", "--format", "json"}).json();
  REQUIRE(document["cases"].size() == 3);
  CHECK(document["cases"][0]["repetitions"] == 12);
  CHECK(document["cases"][0]["auto_repetitions"] == 12);
  CHECK(document["cases"][2]["repetitions"] == 2);
  CHECK(document["cases"][2]["auto_repetitions"].is_null());
  CHECK(document["max_time_s"].is_null());
  const auto text = run_kvproof({"plan", temp / "tiny.yaml", "--max-time", "1h"}).out;
  CHECK_THAT(text, Contains("repetitions         about\n"));
  CHECK_THAT(text, Contains("--max-time 1 h: as many repetitions as without it\n"));
}

TEST_CASE("plan --max-time shows what run would choose, beside what auto would take", "[program][max_time]") {
  const TempDir temp;
  write_file_of(temp / "tiny.yaml", kConfig);
  bool lowered = false;
  for (const double time : times_between(estimated_s(temp / "tiny.yaml"))) {
    const auto run = run_kvproof({"plan", temp / "tiny.yaml", "--max-time", seconds_text(time), "--format", "json"});
    if (run.code != 0 || !is_lowered(run.json())) continue;
    lowered = true;
    const auto document = run.json();
    CHECK(document["max_time_s"].get<double>() == Approx(time));
    CHECK(document["estimated_s"] <= time);
    CHECK(document["cases"][0]["auto_repetitions"] == 12);
    CHECK(document["cases"][0]["repetitions"] >= 3);
    CHECK(document["cases"][1]["repetitions"] == document["cases"][0]["repetitions"]);
    CHECK(document["cases"][2]["repetitions"] == 2);
    break;
  }
  CHECK(lowered);
  lowered = false;
  for (const double time : times_between(estimated_s(temp / "tiny.yaml"))) {
    const auto text = run_kvproof({"plan", temp / "tiny.yaml", "--max-time", seconds_text(time)}).out;
    if (text.find(" repetitions in place of 12 in 2 cases\n") == std::string::npos) continue;
    lowered = true;
    CHECK_THAT(text, Contains(" of 12  "));
    break;
  }
  CHECK(lowered);
}

TEST_CASE("a time into which even the fewest repetitions do not fit is refused before anything is measured",
          "[program][max_time]") {
  const TempDir temp;
  write_file_of(temp / "tiny.yaml", kConfig);
  for (const char* command : {"plan", "run"}) {
    CAPTURE(command);
    const auto run = run_kvproof({command, "tiny.yaml", "--max-time", "0.01"}, in_folder(temp.path()));
    CHECK(run.code == 2);
    CHECK(run.out.empty());
    CHECK_THAT(run.err, Contains("error: --max-time: must be at least ") &&
                            Contains("even the fewest repetitions (3 where they are auto)") &&
                            Contains("got 0.01 s; raise it"));
    CHECK_FALSE(fs::exists(temp.path() / "results"));
  }
  const auto bad = run_kvproof({"run", "tiny.yaml", "--max-time", "5m"}, in_folder(temp.path()));
  CHECK(bad.code == 2);
  CHECK(bad.err == "error: --max-time: must be a time above 0, such as 90s, 5min, 1h or 300 (seconds), got \"5m\"\n");
}

TEST_CASE("run --max-time measures what it chose, says so and warns of it in the record", "[program][max_time]") {
  const TempDir temp;
  write_file_of(temp / "tiny.yaml", kConfig);
  bool lowered = false;
  for (const double time : times_between(estimated_s(temp / "tiny.yaml"))) {
    fs::remove(temp / "out.json");
    const auto run = run_kvproof(
        {"run", temp / "tiny.yaml", "--max-time", seconds_text(time), "--out", temp / "out.json", "--format", "json"});
    if (run.code == 2) continue;
    CAPTURE(run.err);
    REQUIRE(run.code == 0);
    const Json record = run.json();
    const int chosen = record["cases"][0]["settings"]["run"]["repetitions"];
    CHECK(record["max_time_s"].get<double>() == Approx(time));
    CHECK(record["cases"][0]["paths"]["naive"]["samples"].size() == static_cast<std::size_t>(chosen));
    CHECK(record["cases"][1]["settings"]["run"]["repetitions"] == chosen);
    CHECK(record["cases"][2]["settings"]["run"]["repetitions"] == 2);
    CHECK_THAT(run.err, Contains("estimated ") && Contains("; --max-time "));
    if (chosen == 12) continue;
    lowered = true;
    CHECK_THAT(run.err, Contains(std::to_string(chosen) + " repetitions in place of 12 in 2 cases"));
    CHECK_THAT(record["warnings"].dump(),
               Contains("tiny/one, tiny/two: " + std::to_string(chosen) + " repetitions of 12, chosen by --max-time "));
    break;
  }
  CHECK(lowered);
}

TEST_CASE("a run that is gone on with keeps what --max-time chose", "[program][max_time]") {
  const TempDir temp;
  write_file_of(temp / "tiny.yaml", kConfig);
  const auto here = in_folder(temp.path());
  const auto first = run_kvproof({"run", "tiny.yaml", "--max-time", "1h", "--out", "out.json"}, here);
  CAPTURE(first.err);
  REQUIRE(first.code == 0);
  CHECK(Json::parse(read_file(temp / "out.json"))["max_time_s"] == 3600.0);

  // As if it had chosen 4, and had been cut off before the first case.
  const std::string journal = read_file(temp / "out.jsonl");
  Json header = Json::parse(journal.substr(0, journal.find('\n')));
  REQUIRE(header["max_time"]["choices"].size() == 2);
  CHECK(header["max_time"]["max_time_s"] == 3600.0);
  for (Json& choice : header["max_time"]["choices"]) {
    CHECK(choice["auto"] == 12);
    choice["repetitions"] = 4;
  }
  write_lines(temp / "out.jsonl", {header});
  const auto refused = run_kvproof({"run", "--resume", "out.jsonl", "--max-time", "2h"}, here);
  CHECK(refused.code == 2);
  CHECK(refused.err ==
        "error: --max-time: cannot be given beside --resume: the journal says what was run, and where to\n");

  const auto run = run_kvproof({"run", "--resume", "out.jsonl"}, here);
  CAPTURE(run.err);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.err, Contains("; --max-time 1 h: 4 repetitions in place of 12 in 2 cases\n"));
  const Json record = Json::parse(read_file(temp / "out.json"));
  CHECK(record["max_time_s"] == 3600.0);
  for (int i = 0; i < 2; ++i) {
    CHECK(record["cases"][i]["settings"]["run"]["repetitions"] == 4);
    CHECK(record["cases"][i]["paths"]["engine"]["samples"].size() == 4);
  }
  CHECK(record["cases"][2]["settings"]["run"]["repetitions"] == 2);
  CHECK_THAT(record["warnings"].dump(),
             Contains("tiny/one, tiny/two: 4 repetitions of 12, chosen by --max-time 1 h: "));
}
