// kvproof ci: one step of a CI job, with its artifacts, its summary and its exit code.
#include <functional>

#include "tests/program/tiny_gate.h"

using namespace kvproof::testing;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;
namespace fs = std::filesystem;

namespace {

constexpr auto kBaseline = "results/baselines/main.json";

/// A folder with a config of two cases and a baseline of its own run.
struct Job : TempDir {
  Job() {
    write_file_of(*this / "tiny.yaml", kTwoCases);
    REQUIRE(run({"run", "tiny.yaml", "--out", "first.json"}).code == 0);
    REQUIRE(run({"baseline", "save", "main", "--from", "first.json", "--exact"}).code == 0);
  }

  ProgramRun run(const Words& words, std::map<std::string, std::string> environment = {}) const {
    RunOptions options = in_folder(path());
    environment.insert({{"GITHUB_ACTIONS", ""}, {"GITHUB_STEP_SUMMARY", ""}});  // the tests themselves may run there
    options.environment = std::move(environment);
    return run_kvproof(words, options);
  }
  ProgramRun ci(const Words& more, const std::map<std::string, std::string>& environment = {}) const {
    return run(Words{"ci", "tiny.yaml"} + more, environment);
  }
  /// Against the baseline.
  ProgramRun held(const Words& more, const std::map<std::string, std::string>& environment = {}) const {
    return ci(Words{"--baseline", "main"} + more, environment);
  }
  void change(const std::function<void(Json&)>& change) const {
    Json baseline = Json::parse(read_file(*this / kBaseline));
    change(baseline);
    write_file_of(*this / kBaseline, baseline.dump());
  }
  bool measured() const { return fs::exists(*this / "results/runs"); }
  Json verdict() const { return Json::parse(read_file(*this / "results/runs/ci/ci.json")); }
};

const auto kFewerBytes = [](Json& baseline) { baseline["cases"][0]["exact"]["engine"]["kv_cache_bytes"] = 1; };

std::string first_failure(const Json& ci) {
  return ci["failures"].empty() ? "none" : ci["failures"][0]["text"].get<std::string>();
}

bool warns_of(const Json& ci, const std::string& kind) {
  return std::any_of(ci["warnings"].begin(), ci["warnings"].end(),
                     [&](const Json& one) { return one["kind"] == kind; });
}

}  // namespace

TEST_CASE("a job in which nothing changed passes and leaves all its artifacts", "[program][ci]") {
  const Job job;
  const auto run = job.held({});
  CAPTURE(run.out, run.err);
  CHECK(run.code == 0);
  CHECK_THAT(run.out, Contains("kvproof ci: passed") && Contains("Exit code 0."));
  const fs::path folder = job / "results/runs/ci";
  const Json ci = job.verdict();
  for (const std::string name : {"record.json", "record.html", "junit-run.xml", "comparison-baseline.json",
                                 "junit-baseline.xml", "summary.md", "ci.json"}) {
    CAPTURE(name);
    CHECK(fs::file_size(folder / name) > 0);
    CHECK(std::any_of(ci["artifacts"].begin(), ci["artifacts"].end(),
                      [&](const Json& file) { return file == "results/runs/ci/" + name; }));
  }
  CHECK(ci["artifacts"].size() == 7);
  CHECK(ci["failures"].empty());
  CHECK(ci["exit_code"] == 0);
  CHECK(Json::parse(read_file(folder / "comparison-baseline.json"))["verdict"]["exact"] == "IDENTICAL");
  CHECK_THAT(read_file(folder / "summary.md"), StartsWith("**kvproof ci passed"));
  CHECK_THAT(run.out, !Contains("::error") && !Contains("::warning"));
}

TEST_CASE("of a job, stdout can be the one document, and the folder another one, made anew each time",
          "[program][ci]") {
  const Job job;
  CHECK(job.held({"--artifacts", "kept"}).code == 0);
  for (const char* earlier : {"kept/comparison-base.json", "kept/junit-base.xml"})
    write_file_of(job / earlier, "of the job before");
  const auto run = job.held({"--artifacts", "kept", "--format", "json"});
  CHECK(run.code == 0);
  CHECK(run.json()["schema"]["name"] == "kvproof-ci");
  CHECK(run.json() == nlohmann::json::parse(read_file(job / "kept/ci.json")));
  CHECK(run.json()["artifacts"]["record"] == "kept/record.json");
  CHECK_FALSE(fs::exists(job / "kept/comparison-base.json"));
  CHECK_FALSE(fs::exists(job / "kept/junit-base.xml"));
  CHECK(job.held({"--artifacts", "kept"}).code == 0);  // and once more
}

TEST_CASE("files that no job wrote are not replaced by one, nor is the baseline", "[program][ci]") {
  const Job job;
  fs::create_directories(job / "notes");
  write_file_of(job / "notes/summary.md", "my own");
  const auto refused = job.held({"--artifacts", "notes"});
  CHECK(refused.code == 2);
  CHECK_THAT(refused.err, Contains("--artifacts: notes/summary.md is there, and no kvproof ci wrote it"));
  CHECK(read_file(job / "notes/summary.md") == "my own");
  CHECK(job.held({"--artifacts", "kept"}).code == 0);
  const auto itself = job.ci({"--artifacts", "kept", "--baseline", "kept/record.json"});
  CHECK(itself.code == 2);
  CHECK_THAT(itself.err, Contains("kept/record.json is the baseline, and a file that this job writes"));
  CHECK(fs::exists(job / "kept/record.json"));
}

TEST_CASE("on GitHub the summary is added to the step's, and findings are annotations", "[program][ci]") {
  const Job job;
  job.change(kFewerBytes);
  write_file_of(job / "step.md", "# before\n");
  const auto elsewhere = job.held({}, {{"GITHUB_STEP_SUMMARY", job / "step.md"}});
  CHECK(elsewhere.code == 1);
  CHECK_THAT(elsewhere.out, !Contains("::error"));
  CHECK(read_file(job / "step.md") == "# before\n" + read_file(job / "results/runs/ci/summary.md"));

  const auto there = job.held({}, {{"GITHUB_ACTIONS", "true"}});
  CHECK(there.code == 1);
  CHECK_THAT(
      there.out,
      Contains("\n::error file=tiny.yaml,title=kvproof%3A regressed::tiny/short: CHANGED: engine.kv_cache_bytes: 1 in "
               "the base, "));
  const auto no_room = job.held({}, {{"GITHUB_STEP_SUMMARY", job / "nowhere/step.md"}});
  CHECK(no_room.code == 1);  // the verdict stands
  CHECK_THAT(no_room.err, Contains("warning: $GITHUB_STEP_SUMMARY: ") && Contains("cannot be written"));
}

TEST_CASE("whatever differs from the baseline fails, with the exit code of its kind", "[program][ci]") {
  struct Case {
    std::function<void(Json&)> change;
    int code;
    std::string kind, text;
  };
  for (const Case& one : {
           Case{[](Json& b) { b["cases"][0]["exact"]["engine"]["tokens"][0] = "1 2 3 4 5"; }, 5, "disagree",
                "tiny/short: CHANGED: engine.tokens, row 0, token 0: 1 in the base, "},
           {kFewerBytes, 1, "regressed", "tiny/short: CHANGED: engine.kv_cache_bytes: 1 in the base, "},
           {[](Json& b) {
              b["cases"].push_back(b["cases"][1]);
              b["cases"].back()["id"] = "tiny/gone";
            },
            1, "missing", "tiny/gone: MISSING"},
           {[](Json& b) {
              b["cases"][1]["workload"]["hash"] = "0";
              b["cases"][1]["workload"]["settings"]["run"]["threads"] = 2;
            },
            4, "incomparable", "tiny/rows: INCOMPARABLE"},
       }) {
    CAPTURE(one.text);
    const Job job;
    job.change(one.change);
    const auto run = job.held({});
    CHECK(run.code == one.code);
    const Json ci = job.verdict();
    CHECK(ci["exit_code"] == one.code);
    REQUIRE_FALSE(ci["failures"].empty());
    CHECK(ci["failures"][0]["kind"] == one.kind);
    CHECK_THAT(first_failure(ci), StartsWith(one.text));
    CHECK_THAT(read_file(job / "results/runs/ci/summary.md"), StartsWith("**kvproof ci failed: "));
  }
}

TEST_CASE("a change that ci.accept names passes, and once nothing needs the word that is a warning", "[program][ci]") {
  const Job job;
  const std::string accept = "ci.accept=[kv_cache_bytes]";
  const auto unneeded = job.held({"--set", accept});
  CHECK(unneeded.code == 0);
  CHECK(job.verdict()["accept"] == Json({{"given", {"kv_cache_bytes"}}, {"unused", {"kv_cache_bytes"}}}));
  CHECK(warns_of(job.verdict(), "accept"));
  CHECK_THAT(unneeded.out, Contains("ci.accept: kv_cache_bytes is no longer needed"));
  job.change(kFewerBytes);
  CHECK(job.held({}).code == 1);
  CHECK(job.held({"--set", accept}).code == 0);
  CHECK_FALSE(warns_of(job.verdict(), "accept"));
  CHECK(job.held({"--set", "ci.fail_on=[disagree]"}).code == 0);
  CHECK(warns_of(job.verdict(), "regressed"));
}

TEST_CASE("ratios below their floors fail, with a baseline and without", "[program][ci]") {
  const Job job;
  const std::string high = "ci.floors={speedup_e2e: 100000}", low = "ci.floors={speedup_e2e: 0.0001}";
  CHECK(job.held({"--set", high}).code == 1);
  CHECK_THAT(first_failure(job.verdict()), Contains("lies below its floor of 100000.00"));
  CHECK(job.held({"--set", low}).code == 0);
  CHECK(job.ci({"--set", high}).code == 1);
  CHECK_THAT(first_failure(job.verdict()), Contains("lies below its floor of 100000.00"));
  CHECK(job.ci({"--set", low}).code == 0);
}

TEST_CASE("what a job lacks is told before anything is measured", "[program][ci]") {
  const Job job;
  struct Case {
    Words words;
    int code;
    std::string error;
  };
  for (const Case& one : {
           Case{{},
                4,
                "there is nothing to hold the run against: set ci.baseline, or give --baseline, --base-binary or "
                "--base-ref"},
           {{"--baseline", "nowhere"}, 4, "nowhere"},
           {{"--set", "ci.baseline=nowhere"}, 4, "nowhere"},
           {{"--baseline", "main", "--base-binary", "nowhere"}, 4, "nowhere: no such file"},
           {{"--baseline", "main", "--base-ref", "main"}, 4, "main: no git repository here"},
           {{"--baseline", "main", "--set", "run.verify=off"},
            2,
            "run.verify is off, and ci verifies: expected quick or full"},
           {{"--baseline", "main", "--if-built"}, 2, "--if-built: is about --base-ref; give it too"},
           {{"--if-built", "--base-ref", "main", "--base-binary", KVPROOF_PROGRAM},
            2,
            "cannot be given beside --base-binary"},
           {{"--baseline", "main", "--candidate-binary", KVPROOF_PROGRAM},
            2,
            "--candidate-binary: is about two programs; give --base-binary"},
           {{"--baseline", "main", "--artifacts", ""}, 2, "--artifacts: is empty"},
           {{"--baseline", "main", "--set", "ci.accept=[everything]"}, 2, "ci.accept"},
       }) {
    CAPTURE(one.words);
    const auto run = job.ci(one.words);
    CHECK(run.code == one.code);
    CHECK_THAT(run.last_error_line(), Contains(one.error));
    CHECK(run.out.empty());
  }
  CHECK_FALSE(job.measured());
}

TEST_CASE("a slow-down that the base's own copy shows as well passes with a warning, and fails with --strict",
          "[program][ci]") {
  const Job job;
  // The base's copy is as slow as the candidate: a slow-down is there, and not to be believed.
  const std::string work = "--plant-work 0,8";
  const std::string base = put_script(
      job, "base",
      fmt::format("case $0 in *kvproof-control-*) work='{}';; esac\nexec '{}' \"$@\" $work", work, KVPROOF_PROGRAM));
  const Words slow = {"--base-binary", base,          "--candidate-binary", put_wrapper(job, "slow", work),
                      "--noise",       put_noise(job)};
  CHECK(job.held(slow).code == 0);
  const Json open = job.verdict();
  CHECK(warns_of(open, "inconclusive"));
  CHECK(open["artifacts"].contains("comparison, base"));
  CHECK(fs::exists(job / "results/runs/ci/comparison-base.json"));
  CHECK(fs::exists(job / "results/runs/ci/junit-base.xml"));
  CHECK(job.held(slow + Words{"--strict"}).code == 3);
  CHECK(job.verdict()["strict"] == true);
  CHECK(job.held(slow + Words{"--strict", "--report-times"}).code == 0);
  CHECK(warns_of(job.verdict(), "times"));
}

TEST_CASE("a base that is not built is left out where that is asked for", "[program][ci]") {
  const Job job;
  const auto run = job.held({"--base-ref", "main", "--if-built"});
  CHECK(run.code == 0);
  CHECK_THAT(run.out, Contains("times are not compared: main: no git repository here"));
  CHECK(warns_of(job.verdict(), "note"));
  CHECK_FALSE(job.verdict()["artifacts"].contains("comparison, base"));
}

TEST_CASE("a program with other tokens than the base's fails a job with 5, times told or not", "[program][ci]") {
  const Job job;
  const std::string faulty = put_wrapper(job, "faulty", "--plant-fault decode-overwrites-the-last-slot");
  const auto run = job.ci({"--base-binary", KVPROOF_PROGRAM, "--candidate-binary", faulty, "--report-times"});
  CHECK(run.code == 5);
  CHECK(job.verdict()["failures"][0]["kind"] == "disagree");
}
