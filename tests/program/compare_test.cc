// kvproof compare: programs, baselines and records held against each other; exit codes, files and words.
#include <functional>

#include "tests/program/tiny_gate.h"
#include "tests/support/json_schema.h"

using namespace kvproof::testing;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;
namespace fs = std::filesystem;

namespace {

/// A folder with the tiny config.
struct Here : TempDir {
  explicit Here(const char* config = kTinyConfig) { write_file_of(*this / "tiny.yaml", config); }

  ProgramRun run(const Words& words) const { return run_kvproof(words, in_folder(path())); }
  ProgramRun compare(const Words& more) const { return run(Words{"compare", "tiny.yaml"} + more); }
  bool measured() const { return fs::exists(*this / "results/runs"); }
};

const Words kItself = {"--base-binary", KVPROOF_PROGRAM};

Words schema_errors(const Json& document) {
  return JsonSchema(Json::parse(read_file(source_path("results/comparison.schema.json")))).errors(document);
}

/// stdout's document, which says what the exit code says and obeys the schema.
Json document_of(const ProgramRun& run) {
  const Json document = Json::parse(run.out);
  CHECK(schema_errors(document) == Words{});
  CHECK(document["verdict"]["exit_code"] == run.code);
  CHECK(document["verdict"]["reasons"].empty() == (run.code == 0));
  return document;
}

/// The record of a run of both cases, b.json with something changed, and what comparing the two came to.
ProgramRun two_records(const Here& here, const std::function<void(Json&)>& change, const Words& more = {}) {
  if (!fs::exists(here / "a.json")) REQUIRE(here.run({"run", "tiny.yaml", "--out", "a.json"}).code == 0);
  Json record = Json::parse(read_file(here / "a.json"));
  change(record);
  write_file_of(here / "b.json", record.dump());
  return here.run(Words{"compare", "a.json", "b.json"} + more);
}

}  // namespace

TEST_CASE("the program against itself is the same work, and no alarm", "[program][compare]") {
  const Here here;
  const auto run = here.compare(kItself + Words{"--format", "json"});
  CAPTURE(run.err);
  CHECK((run.code == 0 || run.code == 3));  // whether it can be told depends on what else runs here
  const Json document = document_of(run);
  CHECK(document["verdict"]["exact"] == "IDENTICAL");
  CHECK(document["base"]["name"] == KVPROOF_PROGRAM);
  CHECK(document["candidate"]["name"] == "this program");
  CHECK(document["base"]["commit"] == document["candidate"]["commit"]);
  CHECK(document["cases"][0]["shape"] == "pp6 tg5");
  CHECK(document["timing"]["session"]["blocks"] == 6);
  CHECK(document["timing"]["controls"].size() == 2);

  const fs::path runs = here / "results/runs";
  REQUIRE(files_of(runs, "-compare.json").size() == 1);
  CHECK(Json::parse(read_file(files_of(runs, "-compare.json")[0])) == document);
  CHECK(fs::exists(here / document["timing"]["session"]["journal"].get<std::string>()));
  CHECK_THAT(run.err, Contains("comparison results/runs/") && !Contains("error"));
  // What the control showed is kept for the next margin: of CPU and of wall time.
  const std::string noise = read_file(here / "results/runs/noise.jsonl");
  CHECK(std::count(noise.begin(), noise.end(), '\n') == 2);
  CHECK_THAT(noise, Contains("\"engine_decode cpu\"") && Contains("\"engine_decode wall\""));
}

TEST_CASE("a program with other tokens exits with 5, and says where they part", "[program][compare]") {
  const Here here;
  const std::string faulty = put_wrapper(here, "faulty", "--plant-fault decode-overwrites-the-last-slot");
  const auto run = here.compare(kItself + Words{"--candidate-binary", faulty, "--out", "kept/c.json"});
  CHECK(run.code == 5);
  CHECK_THAT(run.out, Contains("engine.tokens, row 0, token 1: ") && Contains("Exit code 5"));
  const Json document = Json::parse(read_file(here / "kept/c.json"));
  CHECK(schema_errors(document) == Words{});
  CHECK(document["verdict"]["exact"] == "CHANGED");
  CHECK(document["candidate"]["name"] == faulty);
  CHECK(document["cases"][0]["changes"].back()["place"] == "row 0, token 1");
  CHECK(document["timing"]["verdict"] == "INCOMPARABLE");
}

TEST_CASE("a program that is much slower is REGRESSED once a second session repeats it", "[program][compare]") {
  const Here here;
  const std::string slow = put_wrapper(here, "slow", "--plant-work 0,8");
  const auto run =
      here.compare(kItself + Words{"--candidate-binary", slow, "--noise", put_noise(here), "--format", "json"});
  CAPTURE(run.out, run.err);
  CHECK(run.code == 1);
  const Json document = document_of(run);
  CHECK(document["verdict"]["timing"] == "REGRESSED");
  CHECK(document["verdict"]["exact"] == "IDENTICAL");
  const Json& metric = document["timing"]["metrics"][0];
  CHECK(metric["metric"] == "engine_decode cpu");
  CHECK(metric["confirmed"] == true);
  CHECK(metric["ratio"] > 1.45);
  CHECK(metric["confirmation"]["verdict"] == "REGRESSED");
  CHECK(metric["recorded"] == 1);
  CHECK_FALSE(fs::exists(here / "results/runs/noise.jsonl"));  // it went where --noise says
}

TEST_CASE("a base that cannot be asked is told, with no verdict", "[program][compare]") {
  const Here here;
  const auto old = here.compare({"--base-binary", put_script(here, "old", "echo old")});
  CHECK(old.code == 4);
  CHECK(old.out.empty());
  CHECK_THAT(old.last_error_line(), Contains("base, hello: expected a message of kvproof-measure/1, found \"old.\""));
  const auto wrong =
      here.compare({"--base-binary", put_wrapper(here, "other", "--set sampler.max_tokens=4"), "--format", "json"});
  CHECK(wrong.code == 4);
  CHECK_THAT(wrong.json()["error"]["message"].get<std::string>(), Contains("reads another config"));
  CHECK(files_of(here / "results/runs", "").empty());  // no document, and no journal of nothing
}

TEST_CASE("a base that is not there ends before anything is measured", "[program][compare]") {
  const Here here;
  struct Case {
    Words words;
    int code;
    std::string error;
  };
  fs::create_directories(here / "folder");
  for (const Case& one : {
           Case{{}, 2, "--base-binary: give one of --base-binary, --base-ref and --baseline, found none"},
           {kItself + Words{"--base-ref", "main"}, 2, "found several"},
           {kItself + Words{"--baseline", "main"}, 2, "found several"},
           {{"--base-binary", "nowhere/kvproof"}, 4, "nowhere/kvproof: no such file"},
           {{"--base-binary", "folder"}, 4, "folder: is a folder"},
           {{"--base-binary", "tiny.yaml"}, 4, "tiny.yaml: is not executable"},
           {kItself + Words{"--candidate-binary", "nowhere"}, 4, "nowhere: no such file"},
           {{"--base-ref", "main"}, 4, "main: no git repository here"},
           {{"--baseline", "main"}, 4, "results/baselines"},
           {{"--baseline", "main", "--candidate-binary", "x"}, 2, "--candidate-binary: is about two programs"},
           {{"--baseline", "main", "--noise", "x"}, 2, "--noise: is about two programs"},
           {kItself + Words{"--out", ""}, 2, "--out: is empty"},
           {kItself + Words{"--log", "x"}, 2, "--log: is for --self-test"},
           {kItself + Words{"--self-test", "--log", "x"}, 2, "--base-binary: cannot be given beside --self-test"},
           {{"--self-test"}, 2, "--log"},
       }) {
    CAPTURE(one.words);
    const auto run = here.compare(one.words);
    CHECK(run.code == one.code);
    CHECK_THAT(run.last_error_line(), Contains(one.error));
    CHECK(run.out.empty());
  }
  CHECK_FALSE(here.measured());
}

TEST_CASE("Ctrl-C ends the build of a base, of which nothing but its log is kept", "[program][compare]") {
  const Here here;
  write_file_of(here / "CMakeLists.txt",
                "cmake_minimum_required(VERSION 3.22)\nproject(slow LANGUAGES NONE)\n"
                "add_custom_target(kvproof COMMAND touch " + here / "begun" + " COMMAND sleep 60)\n");
  REQUIRE(std::system(("cd '" + here.path().string() + "' && git init -q . && git add CMakeLists.txt && "
                       "git -c user.name=a -c user.email=a@b commit -qm one").c_str()) == 0);
  RunOptions options = in_folder(here.path());
  options.environment["XDG_CACHE_HOME"] = here / "cache";
  options.interrupt_at = here / "begun";
  const auto run = run_kvproof({"compare", "tiny.yaml", "--base-ref", "HEAD"}, options);
  CHECK(run.code == 130);
  CHECK_THAT(run.last_error_line(), Contains("HEAD: its build was interrupted; the next call begins it anew"));
  CHECK_FALSE(here.measured());
  const auto kept = files_of(here / "cache/kvproof/programs", "");
  REQUIRE(kept.size() == 1);
  CHECK(files_of(kept[0], "") == Words{kept[0] + "/build.log"});
}

TEST_CASE("what is compared is one config or two documents", "[program][compare]") {
  const Here here;
  const auto error = [&](const Words& words) {
    const auto run = here.run(Words{"compare"} + words);
    CHECK(run.code == 2);
    return run.last_error_line();
  };
  CHECK_THAT(error({}), Contains("FILE: is missing: give a config and a base, or two records"));
  CHECK_THAT(error({"a.json"}), Contains("FILE: a.json is one document; give the one to hold it against, too"));
  CHECK_THAT(error({"tiny.yaml", "a.json"}), Contains("FILE: expected one config or two documents, found 2 files"));
  CHECK_THAT(error({"a.json", "b.json", "c.json"}), Contains("found 3 files"));
  for (const std::string flag : {"--base-binary", "--base-ref", "--baseline", "--noise", "--candidate-binary", "--log"})
    CHECK_THAT(error({"a.json", "b.json", flag, "x"}),
               Contains(flag + ": is for a config; two documents are compared as they are"));
  CHECK_THAT(error({"a.json", "b.json", "--self-test"}), Contains("--self-test: is for a config"));
}

TEST_CASE("two records are held against each other, exactly", "[program][compare]") {
  const Here here(kTwoCases);
  const auto same = two_records(here, [](Json&) {});
  CHECK(same.code == 0);
  CHECK_THAT(same.out, Contains("IDENTICAL") && Contains("Exit code 0"));
  CHECK(same.err.empty());

  struct Case {
    std::function<void(Json&)> change;
    int code;
    std::string exact, reason;
  };
  for (const Case& one : {
           Case{[](Json&) {}, 0, "IDENTICAL", ""},
           {[](Json& r) { r["cases"][1]["paths"]["engine"]["rows"][1]["tokens"].back() = 63; }, 5, "CHANGED",
            "tiny/rows: CHANGED: engine.tokens, row 1, token 3: "},
           {[](Json& r) { r["cases"][0]["paths"]["engine"]["kv_cache_bytes"] = 1; }, 1, "CHANGED",
            "tiny/short: CHANGED: engine.kv_cache_bytes: "},
           {[](Json& r) { r["cases"].erase(1); }, 1, "CHANGED", "tiny/rows: MISSING"},
           {[](Json& r) { r["cases"][0]["settings"]["run"]["threads"] = 2; }, 4, "INCOMPARABLE",
            "tiny/short: INCOMPARABLE: settings.run.threads: 1 in the base, 2 in the candidate"},
       }) {
    CAPTURE(one.reason);
    const auto run = two_records(here, one.change, {"--format", "json"});
    CHECK(run.code == one.code);
    const Json document = document_of(run);
    CHECK(document["verdict"]["exact"] == one.exact);
    if (!one.reason.empty()) CHECK_THAT(document["verdict"]["reasons"][0].get<std::string>(), StartsWith(one.reason));
  }
  CHECK(fs::exists(here / "results") == false);  // nothing is written where no --out is given

  const auto kept = two_records(here, [](Json& r) { r["cases"].erase(1); }, {"--out", "c.json"});
  CHECK(kept.code == 1);
  CHECK(Json::parse(read_file(here / "c.json"))["candidate"]["name"] == "b.json");
}

TEST_CASE("records that are damaged or none are failures, not verdicts", "[program][compare]") {
  const Here here(kTwoCases);
  const auto damaged = two_records(here, [](Json& r) { r["cases"][0].erase("paths"); }, {"--format", "json"});
  CHECK(damaged.code == 6);
  CHECK_THAT(damaged.json()["error"].dump(), Contains("/cases/0/paths"));
  write_file_of(here / "b.json", "{\"schema\": ");
  CHECK(here.run({"compare", "a.json", "b.json"}).code == 6);
  CHECK(here.run({"compare", "b.json", "a.json"}).code == 6);
  CHECK(here.run({"compare", "a.json", "nowhere.json"}).code != 0);
}

TEST_CASE("a run is held against a saved baseline", "[program][compare]") {
  const Here here;
  REQUIRE(here.run({"run", "tiny.yaml", "--out", "a.json"}).code == 0);
  REQUIRE(here.run({"baseline", "save", "main", "--from", "a.json", "--exact"}).code == 0);
  const auto same = here.compare({"--baseline", "main", "--format", "json"});
  CAPTURE(same.err);
  CHECK(same.code == 0);
  const Json document = document_of(same);
  CHECK(document["base"]["kind"] == "baseline");
  CHECK(document["base"]["name"] == "main");
  CHECK(document["timing"].is_null());  // the baseline keeps none
  CHECK(fs::exists(here / document["candidate"]["name"].get<std::string>()));

  const std::string file = here / "results/baselines/main.json";
  Json baseline = Json::parse(read_file(file));
  baseline["cases"][0]["exact"]["engine"]["kv_cache_bytes"] = 1;
  write_file_of(file, baseline.dump());
  CHECK(here.compare({"--baseline", "main"}).code == 1);
  CHECK(here.compare({"--baseline", file, "--set", "ci.accept=[kv_cache_bytes]"}).code == 0);
}
