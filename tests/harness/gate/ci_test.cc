// What a CI job makes of a run and its comparisons.
#include "harness/gate/ci.h"

#include "tests/harness/track/samples.h"

using namespace kvproof;
using compare::Finding;
using Texts = std::vector<std::string>;

namespace {

Texts said(const std::vector<Finding>& findings) {
  Texts texts;
  for (const Finding& each : findings)
    texts.push_back(each.kind + " " + std::to_string(static_cast<int>(each.code)) + ": " + each.text);
  return texts;
}

const Finding kSlower = {"regressed", ExitCode::regression, "slower"},
              kOpen = {"inconclusive", ExitCode::inconclusive, "open"},
              kGone = {"missing", ExitCode::regression, "gone"}, kWrong = {"disagree", ExitCode::disagree, "wrong"},
              kNothing = {"incomparable", ExitCode::no_baseline, "nothing"};

Json comparison(const Json& unused, const Json& warnings = Json::array()) {
  return {{"accept", {{"given", unused}, {"unused", unused}}}, {"warnings", warnings}};
}

}  // namespace

TEST_CASE("a run in which everything agrees and counts has no findings", "[gate][ci]") {
  CHECK(findings_of_run(kvproof::testing::fit_record()).empty());
}

TEST_CASE("a run's disagreements, failures and invalid measurements are findings", "[gate][ci]") {
  CHECK(said(findings_of_run(kvproof::testing::sample())) ==
        Texts{"disagree 5: demo/italy: DISAGREE: the engine's tokens are not those of full recompute",
              "error 6: demo/italy: INVALID: the outputs disagree: row 0 parts at step 5",
              "error 6: bare/ids/run.verify=off: INVALID: weights were read at 1.31 of the memory's measured rate: "
              "they came out of a "
              "cache",
              "error 6: demo/long: FAILED: needs 5200 positions, the rotary tables hold 5120; lower sampler.max_tokens "
              "to 120 or shorten "
              "the prompt"});
}

TEST_CASE("a verification that fails is a wrong cache, one that could not be judged is open", "[gate][ci]") {
  Json record = kvproof::testing::fit_record();
  record["verifications"][0]["verdict"] = "FAIL";
  CHECK(said(findings_of_run(record)) ==
        Texts{"disagree 5: verification demo: FAIL: the KV cache is wrong; the report says where"});
  record["verifications"][0]["verdict"] = "INCONCLUSIVE";
  CHECK(
      said(findings_of_run(record)) ==
      Texts{"inconclusive 3: verification demo: INCONCLUSIVE: the KV cache could not be judged in the time there was"});
  record.erase("verifications");
  CHECK(findings_of_run(record).empty());
}

TEST_CASE("a run that ended badly for a reason nobody names is an error, and one that was cut off proves nothing",
          "[gate][ci]") {
  Json record = kvproof::testing::fit_record();
  record["exit_code"] = 6;
  CHECK(said(findings_of_run(record)) == Texts{"error 6: the run ended with exit code 6"});
  record["exit_code"] = 130;
  CHECK(said(findings_of_run(record)) ==
        Texts{"incomparable 4: the run was cut off: cases or repetitions are missing"});
}

TEST_CASE("a damaged record is told with its field", "[gate][ci]") {
  Json record = kvproof::testing::fit_record();
  record["cases"][0]["agreement"] = nullptr;
  CHECK_THROWS_AS(findings_of_run(record), RecordError);
}

TEST_CASE("what ci.fail_on names fails with its exit code, the worst of them, and the rest are warnings",
          "[gate][ci]") {
  const CiSpec spec;  // disagree, regressed, missing, error
  CHECK(decide({}, spec, false).code == ExitCode::ok);
  const CiVerdict all = decide({kSlower, kOpen, kGone, kWrong}, spec, false);
  CHECK(all.code == ExitCode::disagree);
  CHECK(said(all.failures) == Texts{"regressed 1: slower", "missing 1: gone", "disagree 5: wrong"});
  CHECK(said(all.warnings) == Texts{"inconclusive 3: open"});

  const CiVerdict only_tokens = decide({kSlower, kGone, kWrong}, {{"disagree"}, {}, {}, {}}, false);
  CHECK(said(only_tokens.failures) == Texts{"disagree 5: wrong"});
  const CiVerdict nothing = decide({kSlower, kGone, kWrong}, {{}, {}, {}, {}}, false);
  CHECK(nothing.code == ExitCode::ok);
  CHECK(nothing.warnings.size() == 3);
}

TEST_CASE("what can be compared with nothing fails whatever ci.fail_on says", "[gate][ci]") {
  const CiVerdict verdict = decide({kNothing}, {{}, {}, {}, {}}, false);
  CHECK(verdict.code == ExitCode::no_baseline);
  CHECK(verdict.failures.size() == 1);
}

TEST_CASE("an open verdict fails where ci.fail_on names it, or --strict was given", "[gate][ci]") {
  CHECK(decide({kOpen}, {}, false).code == ExitCode::ok);
  CHECK(decide({kOpen}, {}, true).code == ExitCode::inconclusive);
  CHECK(decide({kOpen}, {{"inconclusive"}, {}, {}, {}}, false).code == ExitCode::inconclusive);
  CHECK(decide({kOpen, kSlower}, {}, true).code == ExitCode::regression);
}

TEST_CASE("a word of ci.accept is unneeded where no comparison needed it", "[gate][ci]") {
  CHECK(unused_accepts({}).empty());
  CHECK(unused_accepts({comparison({"tokens", "cases"})}) == Texts{"tokens", "cases"});
  CHECK(unused_accepts({comparison({"tokens", "cases"}), comparison({"cases"})}) == Texts{"cases"});
  CHECK(unused_accepts({comparison({"cases"}), comparison({"tokens", "cases"})}) == Texts{"cases"});
  CHECK(unused_accepts({comparison({"cases"}), comparison(Json::array())}).empty());
}

TEST_CASE("the document of a job has its failures, its warnings and what is no longer needed", "[gate][ci]") {
  LoadedConfig config;
  config.config.file = "configs/ci.yaml";
  config.hash = "0123456789abcdef";
  config.config.ci.accept = {"kv_cache_bytes"};
  const CiVerdict verdict = decide({kSlower, kOpen}, config.config.ci, false);
  const Json ci = ci_json(verdict, config, false, {comparison({"kv_cache_bytes"}, {"another machine: b"})},
                          "2026-11-22T10:15:00Z", {{"record", "results/runs/ci/record.json"}});
  CHECK(ci["schema"] == Json({{"name", "kvproof-ci"}, {"version", 1}}));
  CHECK(ci["config"] == Json({{"file", "configs/ci.yaml"}, {"hash", "0123456789abcdef"}}));
  CHECK(ci["failures"] == Json::array({{{"kind", "regressed"}, {"text", "slower"}}}));
  CHECK(ci["warnings"] ==
        Json::array({{{"kind", "inconclusive"}, {"text", "open"}},
                     {{"kind", "accept"},
                      {"text", "ci.accept: kv_cache_bytes is no longer needed: nothing of it changed; remove it"}},
                     {{"kind", "note"}, {"text", "another machine: b"}}}));
  CHECK(ci["accept"]["unused"] == Json({"kv_cache_bytes"}));
  CHECK(ci["strict"] == false);
  CHECK(ci["fail_on"] == Json({"disagree", "regressed", "missing", "error"}));
  CHECK(ci["artifacts"]["record"] == "results/runs/ci/record.json");
  CHECK(ci["exit_code"] == 1);
}
