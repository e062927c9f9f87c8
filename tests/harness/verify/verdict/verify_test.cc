// The verdict as a whole: healthy engines pass, each level finds what it exists for, and doubts are no PASS.
#include "harness/verify/verdict/verify.h"

#include <ATen/core/Tensor.h>

#include "engine/error.h"
#include "harness/verify/verdict/verify_json.h"
#include "tests/harness/verify/verdict/bed.h"
#include "tests/harness/verify/verdict/foreign.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

const ScenarioOutcome* outcome_named(const VerifyReport& report, const std::string& name) {
  for (const ScenarioOutcome& outcome : report.outcomes)
    if (outcome.name == name) return &outcome;
  return nullptr;
}

/// One outcome as the document shows it.
Json shown_outcome(const VerifyReport& report, const std::string& name) {
  const Json document = verify_json(report);
  for (const Json& outcome : document.at("outcomes"))
    if (outcome.at("name") == name) return outcome;
  return nullptr;
}

}  // namespace

TEST_CASE("a healthy engine passes in every dtype, and every level was looked at", "[verdict]") {
  for (const char* dtype : {"float64", "float32", "bfloat16", "float16"}) {
    CAPTURE(dtype);
    Bed bed(dtype, small_checkpoint("vocab_size=331"));
    const VerifyReport report = bed.verify(quick());
    CAPTURE(report.explanation, report.not_covered);
    CHECK(report.verdict == VerifyVerdict::pass);
    CHECK(report.wrong.empty());
    CHECK_FALSE(report.first_divergence.has_value());
    for (const Level level : kLevels) {
      CAPTURE(level_name(level));
      CHECK(report.level(level).checks > 0);
      CHECK(report.level(level).failures == 0);
    }
    CHECK(report.subject.dtype == dtype);
    CHECK(report.logits.positions > 0);  // the metrics are those of the dtype under test
    const bool logic_apart = std::string(dtype) != "float64";
    REQUIRE(report.calibrations.size() == (logic_apart ? 2u : 1u));
    CHECK(report.calibrations.front().dtype == "float64");
    CHECK(report.calibrations.back().dtype == dtype);
    const bool half = std::string(dtype) == "bfloat16" || std::string(dtype) == "float16";
    CHECK(says(report.not_covered, "its rounding hides small faults, so the same code was judged in float64") == half);
    CHECK(report.longest > 66);  // past both windows, of 5 and of 64 keys
  }
}

TEST_CASE("the engine judged is the one in the target: float64 twins see the logic, whatever the dtype", "[verdict]") {
  for (const char* dtype : {"float32", "bfloat16", "float16"}) {
    CAPTURE(dtype);
    Bed bed(dtype, small_checkpoint(), "window-one-narrower");
    const VerifyReport report = bed.verify({.depth = Depth::quick, .vectors = false, .behaviour = false});
    CHECK(report.verdict == VerifyVerdict::fail);
    CHECK(report.wrong == Words{"cache"});
    REQUIRE(report.first_divergence.has_value());
    CHECK(report.first_divergence->suspect == Suspect::window);
    CHECK(report.first_divergence->scenario.find("/float64") != std::string::npos);
    CHECK(report.first_divergence->finding.place.stage == "attention");
  }
}

TEST_CASE("every level finds a fault of its own", "[verdict]") {
  struct Case {
    Level level;
    const char *fault, *scenario;
    std::vector<Level> blind;  // that see nothing of it there
    const char* wrong;
  };
  const std::vector<Case> cases = {
      // Shared storage: the source is not used again, so that no number is wrong.
      {Level::invariants,
       "clone-shares-memory-with-its-source",
       "clone[3,7,3]/float64",
       {Level::logits, Level::keys_values},
       "cache"},
      {Level::invariants,
       "overflow-silently-dropped",
       "capacity[6]/float64",
       {Level::logits, Level::keys_values},
       "cache"},
      {Level::tokens, "position-zero-in-decode", "greedy[7,8]/float64", {}, "generation"},
      {Level::logits, "own-key-hidden-in-decode", "decode[7,3]/float64", {}, "cache"},
      // A key that nothing attends to any more, and one turned like all others: logits are right.
      {Level::keys_values, "chunk-stored-in-reverse", "prefill[9]/float64", {Level::logits}, "cache"},
      {Level::keys_values, "position-shifted-everywhere", "decode[6,3]/float32", {Level::logits}, "cache"},
      {Level::side_state, "smear-dropped-in-decode", "decode[7,3]/float64", {}, "cache"},
      {Level::side_state, "query-scale-missing-in-decode", "decode[7,1]/float64", {}, "cache"},
      {Level::behaviour,
       "max-tokens-plus-one",
       "max_tokens[5,2]/float64",
       {Level::logits, Level::keys_values},
       "generation"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.fault, one.scenario);
    const std::string dtype = std::string(one.scenario).substr(std::string(one.scenario).find('/') + 1);
    {
      Bed healthy(dtype);
      CHECK(healthy.verify(only({one.scenario})).verdict == VerifyVerdict::pass);
    }
    Bed bed(dtype, small_checkpoint(), one.fault);
    const VerifyReport report = bed.verify(only({one.scenario}));
    CHECK(report.verdict == VerifyVerdict::fail);
    CHECK(report.wrong == Words{one.wrong});
    CHECK(report.level(one.level).failures > 0);
    for (const Level blind : one.blind) {
      CAPTURE(level_name(blind));
      CHECK(report.level(blind).failures == 0);
    }
    REQUIRE(report.first_divergence.has_value());
    CHECK(report.first_divergence->scenario == one.scenario);
    CHECK(report.first_divergence->seed == 1);
    CHECK_FALSE(report.first_divergence->hint.empty());
    CHECK(report.explanation.rfind(std::string(one.wrong) + " wrong: ", 0) == 0);
  }
}

TEST_CASE("caches, generators and models at fault are told apart", "[verdict]") {
  {
    Bed bed("float64", small_checkpoint("vocab_size=331"), "stop-token-kept");
    const VerifyReport report = bed.verify(quick());
    CHECK(report.verdict == VerifyVerdict::fail);
    CHECK(report.wrong == Words{"generation"});
  }
  Bed bed;
  VerifyTarget target = bed.engine.target();
  target.overrides["softcap"] = "20";  // the oracle is told so, the model was made without
  const VerifyReport report = verify(target, {.depth = Depth::quick, .vectors = false, .behaviour = false});
  CHECK(report.verdict == VerifyVerdict::fail);
  CHECK(report.wrong == Words{"model"});
  CHECK_FALSE(report.first_divergence.has_value());
  REQUIRE(report.model.has_value());
  CHECK(report.model->constants.failures + report.model->logits.failures > 0);
  CHECK(report.explanation.rfind("model wrong: what this engine computes is not what nanochat does (", 0) == 0);
}

TEST_CASE("both a model and a cache can be wrong, and both are told", "[verdict]") {
  Bed bed("float64", small_checkpoint(), "position-zero-in-decode");
  VerifyTarget target = bed.engine.target();
  target.overrides["softcap"] = "20";
  const VerifyReport report = verify(target, {.depth = Depth::quick, .vectors = false, .behaviour = false});
  CHECK(report.wrong == Words{"model", "cache"});
  CHECK(report.explanation.find("; cache wrong: ") != std::string::npos);
}

TEST_CASE("where attention writes nothing, a right cache is no PASS", "[verdict]") {
  for (const char* dtype : {"float64", "float32", "bfloat16"}) {
    CAPTURE(dtype);
    Bed bed(dtype, without_projection(small_checkpoint()));
    const VerifyReport report = bed.verify({.depth = Depth::quick, .vectors = false, .behaviour = false});
    CHECK(report.verdict == VerifyVerdict::inconclusive);
    CHECK(report.wrong.empty());
    CHECK(report.explanation.rfind("float64: ", 0) == 0);
    CHECK(report.explanation.find("negative controls do not show in the logits") != std::string::npos);
  }
}

TEST_CASE("where attention writes nothing, a wrong key is still a failure", "[verdict]") {
  Bed bed("float64", without_projection(small_checkpoint()), "decode-key-not-stored");
  const VerifyReport report = bed.verify({.depth = Depth::quick, .vectors = false, .behaviour = false});
  CHECK(report.verdict == VerifyVerdict::fail);
  CHECK(report.wrong == Words{"cache"});
  CHECK(report.level(Level::logits).failures == 0);
  CHECK(report.level(Level::keys_values).failures > 0);
}

TEST_CASE("a scenario asked for by name gives what it gave in the suite", "[verdict]") {
  for (const char* dtype : {"float32", "bfloat16"}) {
    Bed bed(dtype, small_checkpoint(), "value-halved-in-decode");
    const VerifyReport suite = bed.verify(quick(7));
    REQUIRE(suite.first_divergence.has_value());
    std::map<std::string, std::string> first_failed;  // by dtype, of caches and of generators
    for (const ScenarioOutcome& outcome : suite.outcomes) {
      if (!outcome.failed() || outcome.name.rfind("script_", 0) == 0) continue;
      const std::string of =
          outcome.name.substr(outcome.name.find('/')) + (outcome.level(Level::keys_values).checks > 0 ? " cache" : "");
      first_failed.emplace(of, outcome.name);
    }
    REQUIRE(first_failed.size() >= 2);
    first_failed.emplace("the first divergence", suite.first_divergence->scenario);
    for (const auto& [unused, name] : first_failed) {
      CAPTURE(dtype, name);
      const VerifyReport alone = bed.verify(only({name}, 7));
      CHECK(alone.verdict == VerifyVerdict::fail);
      REQUIRE(alone.outcomes.size() == 1);
      CHECK(shown_outcome(alone, name) == shown_outcome(suite, name));
    }
  }
}

TEST_CASE("another seed asks with other tokens", "[verdict]") {
  Bed bed("float64", small_checkpoint(), "value-halved-in-decode");
  const auto worst = [&](uint64_t seed) {
    return bed.verify(only({"decode[7,3]/float64"}, seed)).level(Level::keys_values).worst_error;
  };
  CHECK(worst(1) == worst(1));
  CHECK(worst(1) != worst(2));
}

TEST_CASE("scenarios asked for by name are all that is run, and the report says so", "[verdict]") {
  Bed bed("float32");
  const VerifyReport report = bed.verify(only({"chunks[3,1,4]/float64", "decode[5,3]/float32", "greedy[7,8]/float32"}));
  CHECK(report.verdict == VerifyVerdict::pass);
  REQUIRE(report.outcomes.size() == 3);
  CHECK(outcome_named(report, "decode[5,3]/float32") != nullptr);
  CHECK_FALSE(report.model.has_value());
  CHECK_FALSE(report.vectors.has_value());
  CHECK(report.not_covered == Words{"everything but the scenarios that were asked for"});
  CHECK(report.explanation == "the scenarios asked for show no difference; only a whole run says more");
}

TEST_CASE("names that are no scenario of this model are refused", "[verdict]") {
  Bed bed("float32");
  const auto message = [&](const std::string& name) -> std::string {
    try {
      bed.verify(only({name}));
    } catch (const ArgumentError& error) {
      return error.what();
    }
    return "no error";
  };
  CHECK(message("decode") == "--only: expected kind[numbers]/dtype, as in chunks[1,299]/float64, got \"decode\"");
  CHECK(message("decode[a]/float32") ==
        "--only: expected whole numbers between the brackets, got \"decode[a]/float32\"");
  CHECK(message("decode[1]/float32") == "--only: decode[1]/float32: expected [prompt, steps], got 1 numbers");
  CHECK(message("decode[0,1]/float32") == "--only: decode[0,1]/float32: number 1 must be at least 1 (prompt, steps)");
  CHECK(message("decode[700,1]/float32") ==
        "--only: decode[700,1]/float32: needs 700 positions, the model's rotary tables cover 640");
  CHECK(message("truncate[3,4,1]/float64") == "--only: truncate[3,4,1]/float64: cannot keep more than the prompt");
  CHECK(message("decode[5,3]/bfloat16") ==
        "--only: decode[5,3]/bfloat16: this run has float64 and float32; choose with --dtype");
  CHECK(message("decoed[5,3]/float32")
            .rfind("--only: unknown scenario \"decoed\"; of caches there are prefill, decode, chunks,", 0) == 0);
  CHECK(message("greedy[7]/float32") == "--only: greedy[7]/float32: expected greedy[prompt,tokens], got 1 integers");
  CHECK(message("script_bare[9]/float64") ==
        "--only: script_bare[9]/float64: script_bare runs on the scripted model only");
}

TEST_CASE("little time leaves scenarios out and says which; enough time leaves none", "[verdict]") {
  Bed bed;
  VerifyOptions options = {.depth = Depth::quick, .seconds = 1e-3, .vectors = false, .behaviour = false};
  const VerifyReport little = bed.verify(options);
  CHECK(little.verdict == VerifyVerdict::pass);
  CHECK(says(little.not_covered, "short scenarios, left out for time: "));
  CHECK(says(little.not_covered, "sequences past the window of 5 keys"));
  CHECK(says(little.not_covered, "sequences past the window of 64 keys"));
  CHECK(outcome_named(little, "clone[2,5,2]/float64") != nullptr);  // the least is always there

  options.seconds = 60;
  const VerifyReport enough = bed.verify(options);
  CHECK_FALSE(says(enough.not_covered, "left out for time"));
  CHECK_FALSE(says(enough.not_covered, "window"));
  CHECK(enough.outcomes.size() > little.outcomes.size());
  CHECK(enough.longest > little.longest);
}

TEST_CASE("what is switched off or not there is listed as not covered", "[verdict]") {
  Bed bed;  // 97 tokens: too few for a tokenizer
  VerifyTarget target = bed.engine.target();
  target.checkpoint = nullptr;
  const VerifyReport report = verify(target, {.depth = Depth::quick, .vectors = false});
  CHECK(report.verdict == VerifyVerdict::pass);
  CHECK(says(report.not_covered, "the model against the oracle: there is no checkpoint of ours"));
  CHECK(says(report.not_covered, "Python's vectors: kvproof verify compares them"));
  CHECK(says(report.not_covered, "stop tokens and tools on this model: it has no tokenizer"));
  const VerifyReport caches = bed.verify({.depth = Depth::quick, .vectors = false, .behaviour = false});
  CHECK(says(caches.not_covered, "the generators: kvproof verify checks them"));
}

TEST_CASE("progress tells each scenario with its number before it is run", "[verdict]") {
  Bed bed;
  std::vector<std::string> stages;
  int64_t last = 0, all = 0;
  VerifyOptions options = {.depth = Depth::quick, .vectors = false, .behaviour = false};
  options.progress = [&](const std::string& stage, int64_t done, int64_t total) {
    stages.push_back(stage);
    if (total == 0) return;
    CHECK(done == last + 1);
    last = done;
    all = total;
  };
  const VerifyReport report = bed.verify(options);
  CHECK(last == all);
  CHECK(static_cast<int64_t>(report.outcomes.size()) == all);
  CHECK(stages.front() == "the model against the oracle");
}
