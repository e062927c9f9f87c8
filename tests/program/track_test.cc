// kvproof baseline and kvproof history: names, files, exit codes and words.
#include <fmt/format.h>

#include <fstream>
#include <functional>

#include "tests/program/program.h"

using namespace kvproof::testing;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;
namespace fs = std::filesystem;

namespace {

/// The sample record's two cases that are VALID and AGREE, of a clean build on a quiet machine.
Json fit_record() {
  Json record = Json::parse(read_file(source_path("tests/data/record/sample.json")));
  while (record["cases"].size() > 2) record["cases"].erase(2);
  record["kvproof"]["dirty"] = false;
  record["machine"]["steal_ns"] = 0;
  record["warnings"] = Json::array();
  record["exit_code"] = 0;
  return record;
}

std::string put(const TempDir& dir, const std::string& name, const std::function<void(Json&)>& change = {}) {
  Json record = fit_record();
  if (change) change(record);
  write_file_of(dir / name, record.dump(1));
  return name;
}

std::string commit_of_day(int day) { return fmt::format("{:02}", day) + std::string(38, 'b'); }

/// A run of the day whose engine took so many times as long.
std::string put_day(const TempDir& dir, int day, double slower) {
  return put(dir, fmt::format("day{:02}.json", day), [&](Json& record) {
    record["started"] = fmt::format("2026-11-{:02}T10:00:00Z", day + 1);
    record["kvproof"]["commit"] = commit_of_day(day);
    for (Json& one : record["cases"]) {
      for (const char* name : {"prefill_ns", "tpot_ns"}) {
        Json& median = one["paths"]["engine"]["metrics"][name]["median"];
        median = median.get<double>() * slower * (1 + 0.002 * (day * 7 % 5 - 2));
      }
    }
  });
}

/// A history of 14 days whose engine became slower on the last six of them.
Words put_history(const TempDir& dir, double slower) {
  Words words = {"history", "add", "h.jsonl"};
  for (int day = 0; day < 14; ++day) words.push_back(put_day(dir, day, day < 8 ? 1 : slower));
  return words;
}

Words save(const Words& more) { return Words{"baseline", "save", "main", "--from", "run.json"} + more; }

}  // namespace

TEST_CASE("a baseline is saved, listed, left alone, replaced and removed", "[program][track]") {
  const TempDir dir;
  const auto here = in_folder(dir.path());
  put(dir, "run.json");
  const auto saved = run_kvproof(save({}), here);
  CHECK(saved.code == 0);
  CHECK(saved.out == "baseline results/baselines/main.json: 2 cases, with times\n");
  CHECK(saved.err.empty());
  const std::string file = dir / "results/baselines/main.json", text = read_file(file);
  CHECK(Json::parse(text)["schema"]["name"] == "kvproof-baseline");
  CHECK(Json::parse(text)["cases"][0]["times"]["engine"]["e2e_ns"]["median"] == 43418820);

  CHECK(run_kvproof(save({}), here).out ==
        "baseline results/baselines/main.json: 2 cases, with times; as it was, for no case changed\n");
  const auto refused = run_kvproof(save({"--exact"}), here);
  CHECK(refused.code == 2);
  CHECK_THAT(
      refused.err,
      Contains("error: NAME: results/baselines/main.json is there already; see what changed with kvproof compare "));
  CHECK(read_file(file) == text);
  const auto replaced = run_kvproof(save({"--exact", "--replace", "--format", "json"}), here);
  CHECK(
      replaced.json() ==
      nlohmann::json::parse(
          R"({"name": "main", "file": "results/baselines/main.json", "written": true, "cases": 2, "times": false, "warnings": []})"));
  CHECK_FALSE(Json::parse(read_file(file))["cases"][0].contains("times"));

  const auto list = run_kvproof({"baseline", "list"}, here);
  CHECK(list.code == 0);
  CHECK_THAT(
      list.out,
      StartsWith(
          "main              2 cases, without times, of 2026-11-22T10:15:00Z at 5507e5d4, machine f17ce5b7a363c97f ("));
  CHECK(run_kvproof({"baseline", "list", "--format", "json"}, here).json()["baselines"][0]["cases"] == 2);

  CHECK(run_kvproof({"baseline", "remove", "main"}, here).code == 0);
  CHECK_FALSE(fs::exists(file));
  const auto gone = run_kvproof({"baseline", "remove", "main", "--format", "json"}, here);
  CHECK(gone.code == 4);
  CHECK(gone.json()["error"]["kind"] == "no_baseline");
  CHECK_THAT(run_kvproof({"baseline", "list"}, here).err,
             Contains("results/baselines holds no baselines; kvproof baseline save NAME"));
}

TEST_CASE("a baseline without times stays as it is, to the byte, where only times and commits differ",
          "[program][track]") {
  const TempDir dir;
  const auto here = in_folder(dir.path());
  put(dir, "run.json");
  CHECK(run_kvproof(save({"--exact", "--dir", "kept"}), here).code == 0);
  const std::string text = read_file(dir / "kept/main.json");
  put_day(dir, 3, 1.5);
  const auto again =
      run_kvproof({"baseline", "save", "main", "--from", "day03.json", "--exact", "--dir", "kept"}, here);
  CHECK(again.code == 0);
  CHECK_THAT(again.out, Contains("as it was"));
  CHECK(read_file(dir / "kept/main.json") == text);
}

TEST_CASE("a run that is not fit for a baseline is refused with all that speaks against it", "[program][track]") {
  const TempDir dir;
  const auto here = in_folder(dir.path());
  put(dir, "run.json", [](Json& r) {
    r["machine"]["load_before"][0] = 3.5;
    r["machine"]["throttles"] = 2;
    r["kvproof"]["dirty"] = true;
  });
  const auto busy = run_kvproof(save({}), here);
  CHECK(busy.code == 6);
  CHECK(busy.last_error_line() ==
        "error: run.json: cannot be a baseline: the load before the run was 3.50, above 1.00 (0.5 for each core): end "
        "other "
        "programs; CPUs were slowed down 2 times for heat or power: let the machine cool, or lower its clock; or keep "
        "no times, "
        "which needs no quiet machine: --exact");
  CHECK_FALSE(fs::exists(dir / "results"));
  const auto exact = run_kvproof(save({"--exact"}), here);
  CHECK(exact.code == 0);
  CHECK_THAT(exact.err, Contains("warning: it was built with changes that were not committed"));

  write_file_of(dir / "run.json", read_file(source_path("tests/data/record/sample.json")));
  const auto wrong = run_kvproof(save({"--exact", "--replace"}), here);
  CHECK(wrong.code == 6);
  CHECK_THAT(wrong.err, Contains("demo/long: failed; ") && Contains("demo/italy: naive and engine DISAGREE; ") &&
                            Contains("bare/ids/run.verify=off: INVALID; "));
}

TEST_CASE("words of baseline and history that make no sense are faults of usage", "[program][track]") {
  const TempDir dir;
  const auto message = [&](const Words& words) {
    const auto run = run_kvproof(words, in_folder(dir.path()));
    CHECK(run.code == 2);
    return run.last_error_line();
  };
  put(dir, "run.json");
  CHECK(message({"baseline"}) == "error: ACTION: is missing; give one of save, list, remove");
  CHECK_THAT(message({"baseline", "lisst"}), Contains("did you mean \"list\"?"));
  CHECK(message({"baseline", "list", "main"}) == "error: NAME: is not for list, but for save and remove; leave it out");
  CHECK(message({"baseline", "remove", "x", "--exact"}) ==
        "error: --exact: is not for remove, but for save; leave it out");
  CHECK(message({"baseline", "save", "../x", "--from", "run.json"}) ==
        "error: NAME: \"../x\" is no name of a baseline; take letters, digits, '.', '_' and '-', as in main or v1.2");
  CHECK(message({"baseline", "save", "main"}) == "error: --from: is missing; give the record to make it of");
  CHECK(message({"history", "add", "h.jsonl"}) ==
        "error: RECORD: is missing; give records of kvproof run, or a folder of them");
  CHECK_THAT(message({"history", "check"}), Contains("HISTORY: is missing"));
  CHECK_THAT(message({"history", "check", "h.jsonl", "--metric", "engine.tpot"}),
             Contains("did you mean \"engine.tpot_ns\"?"));
  CHECK_THAT(message({"history", "check", "h.jsonl", "--against", ""}), Contains("--against: is empty"));
  CHECK_THAT(message({"history", "add", "h.jsonl", "run.json", "--strict"}),
             Contains("--strict: is not for add, but for check"));
}

TEST_CASE("a history names the commit of a planted slow-down, and fails only where it is told to", "[program][track]") {
  const TempDir dir;
  const auto here = in_folder(dir.path());
  const auto added = run_kvproof(put_history(dir, 1.06), here);
  CHECK(added.code == 0);
  CHECK(added.out == "h.jsonl: 28 lines of 14 records\n");
  const auto check = run_kvproof({"history", "check", "h.jsonl"}, here);
  CHECK(check.code == 0);
  CHECK_THAT(check.out,
             Contains("6.0 % slower near commit 08bbbbbb of 2026-11-09 (the run before was 07bbbbbb of 2026-11-08)"));
  CHECK_THAT(check.out, Contains("4 SLOWER. "));
  CHECK(run_kvproof({"history", "check", "h.jsonl", "--strict"}, here).code == 1);

  const auto json =
      run_kvproof({"history", "check", "h.jsonl", "--strict", "--metric", "engine.tpot_ns", "--format", "json"}, here);
  CHECK(json.code == 1);
  CHECK(json.json()["exit_code"] == 1);
  REQUIRE(json.json()["series"].size() == 2);
  for (const auto& series : json.json()["series"]) {
    REQUIRE(series["steps"].size() == 1);
    CHECK(series["steps"][0]["after"]["commit"] == commit_of_day(8));
  }
  // What did not become slower has no step.
  CHECK(run_kvproof({"history", "check", "h.jsonl", "--strict", "--metric", "naive.tpot_ns"}, here).code == 0);
}

TEST_CASE("a history without a slow-down has no step", "[program][track]") {
  const TempDir dir;
  const auto here = in_folder(dir.path());
  CHECK(run_kvproof(put_history(dir, 1.0), here).code == 0);
  const auto check = run_kvproof({"history", "check", "h.jsonl", "--strict"}, here);
  CHECK(check.code == 0);
  CHECK_THAT(check.out, Contains("LEVEL: no step in 14 points") && Contains("4 LEVEL. "));
  CHECK(check.out.find("step:") == std::string::npos);
}

TEST_CASE("where a history has too few points, strict says that nothing can be said", "[program][track]") {
  const TempDir dir;
  const auto here = in_folder(dir.path());
  put(dir, "run.json");
  CHECK(run_kvproof({"history", "add", "h.jsonl", "run.json"}, here).code == 0);
  CHECK(run_kvproof({"history", "check", "h.jsonl"}, here).code == 0);
  const auto strict = run_kvproof({"history", "check", "h.jsonl", "--strict"}, here);
  CHECK(strict.code == 3);
  CHECK_THAT(strict.out, Contains("TOO FEW: 1 of the 6 points that a step needs"));
}

TEST_CASE("a release is pinned, and an unknown one is told with those there are", "[program][track]") {
  const TempDir dir;
  const auto here = in_folder(dir.path());
  run_kvproof(put_history(dir, 1.06), here);
  const auto tagged =
      run_kvproof({"history", "add", "h.jsonl", "day01.json", "day02.json", "day03.json", "--release", "v1.0"}, here);
  CHECK(tagged.out == "h.jsonl: 6 lines of 3 records\n");
  const auto against = run_kvproof({"history", "check", "h.jsonl", "--against", "v1.0", "--strict"}, here);
  CHECK(against.code == 1);
  CHECK_THAT(against.out, Contains("slower than release v1.0 ("));
  const auto unknown = run_kvproof({"history", "check", "h.jsonl", "--against", "v1.1"}, here);
  CHECK(unknown.code == 4);
  CHECK_THAT(unknown.last_error_line(),
             StartsWith("error: v1.1: no release of that name, did you mean \"v1.0\"?; the history has v1.0; "));
}

TEST_CASE("a history is added to once, and rebuilt from a folder of records", "[program][track]") {
  const TempDir dir;
  const auto here = in_folder(dir.path());
  run_kvproof(put_history(dir, 1.0), here);
  const std::string text = read_file(dir / "h.jsonl");
  const auto again = run_kvproof({"history", "add", "h.jsonl", "day03.json"}, here);
  CHECK(again.code == 0);
  CHECK_THAT(again.err, Contains("day03.json is in the history already, and is not added again"));
  CHECK(read_file(dir / "h.jsonl") == text);

  write_file_of(dir / "other.json", R"({"schema": {"name": "kvproof-baseline", "version": 1}})");
  put(dir, "partial.json", [](Json& r) { r["partial"] = true; });
  const auto rebuilt = run_kvproof({"history", "rebuild", "new.jsonl", "."}, here);
  CHECK(rebuilt.code == 0);
  CHECK(read_file(dir / "new.jsonl") == text);
  CHECK_THAT(rebuilt.err, Contains("other.json is no record, and is passed over") &&
                              Contains("partial.json is of an interrupted run"));
  const auto fewer = run_kvproof({"history", "rebuild", "new.jsonl", "day03.json"}, here);
  CHECK(fewer.code == 2);
  CHECK_THAT(fewer.err, Contains("--replace: is missing: new.jsonl has 13 records that are not among those given"));
  CHECK(run_kvproof({"history", "add", "h.jsonl", "partial.json"}, here).code == 6);
}

TEST_CASE("a damaged line of a history is an error with its place, half a last one is passed over",
          "[program][track]") {
  const TempDir dir;
  const auto here = in_folder(dir.path());
  run_kvproof(put_history(dir, 1.0), here);
  const std::string text = read_file(dir / "h.jsonl");
  write_file_of(dir / "h.jsonl", text.substr(0, text.size() - 100));
  const auto half = run_kvproof({"history", "check", "h.jsonl"}, here);
  CHECK(half.code == 0);
  CHECK_THAT(half.err, Contains("warning: h.jsonl:28: half a line, whose writer was ended; it is passed over"));
  CHECK_THAT(half.out, Contains("27 lines of 14 records"));
  write_file_of(dir / "h.jsonl", "{\n" + text);
  const auto damaged = run_kvproof({"history", "check", "h.jsonl"}, here);
  CHECK(damaged.code == 6);
  CHECK_THAT(damaged.err, Contains("error: h.jsonl:1: expected the JSON of one line of a history"));
  CHECK(run_kvproof({"history", "check", "none.jsonl"}, here).code == 6);
}

TEST_CASE("the report of a history is a page or a table, and never replaces the history", "[program][track]") {
  const TempDir dir;
  const auto here = in_folder(dir.path());
  run_kvproof(put_history(dir, 1.06), here);
  const std::string text = read_file(dir / "h.jsonl");
  CHECK(run_kvproof({"history", "report", "h.jsonl", "--out", "new/trend.html"}, here).code == 0);
  const std::string page = read_file(dir / "new/trend.html");
  CHECK_THAT(page, StartsWith("<!DOCTYPE html>"));
  CHECK(page == run_kvproof({"history", "report", "h.jsonl", "--to", "html"}, here).out);
  const auto table = run_kvproof({"history", "report", "h.jsonl"}, here);
  CHECK(table.out == run_kvproof({"history", "check", "h.jsonl"}, here).out);
  CHECK(run_kvproof({"history", "report", "h.jsonl", "--out", "h.jsonl"}, here).code == 2);
  CHECK(run_kvproof({"history", "report", "h.jsonl", "--out", "t.html", "--format", "json"}, here).code == 2);
  CHECK(run_kvproof({"history", "report", "h.jsonl", "--format", "json"}, here).json()["schema"]["name"] ==
        "kvproof-trend");
  CHECK(read_file(dir / "h.jsonl") == text);
}
