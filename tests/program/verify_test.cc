// kvproof verify: exit codes, documents, planted faults that must be found, and how to see one again.
#include <ATen/core/Tensor.h>

#include <set>

#include "tests/program/program.h"
#include "tests/support/golden.h"
#include "tests/support/json_schema.h"

using namespace kvproof::testing;
using Json = nlohmann::json;
using Words = std::vector<std::string>;
using Catch::Matchers::Contains;

namespace {

const std::string kTiny = "d2,vocab_size=331,n_embd=64,n_head=4,n_kv_head=2,sequence_len=32";

Words verify(const Words& more) { return Words{"verify", "--threads", "1"} + more; }
Words tiny(const Words& more) { return verify(Words{"--synthetic", kTiny, "--arch", "short_window=5"} + more); }
Words as_json(const Words& words) { return words + Words{"--format", "json"}; }

/// The document, held against its schema.
Json checked(const ProgramRun& run, const std::string& schema = "verify") {
  const auto document = JsonSchema::Json::parse(run.json().dump());
  const JsonSchema rules(JsonSchema::Json::parse(read_file(source_path("results/" + schema + ".schema.json"))));
  const auto errors = rules.errors(document);
  CAPTURE(errors);
  CHECK(errors.empty());
  return run.json();
}

}  // namespace

TEST_CASE("verify passes the embedded model and says what it looked at", "[program][verify]") {
  const auto run = run_kvproof(as_json(verify(Words{"--quick"} + demo_flags())));
  CAPTURE(run.err);
  CHECK(run.code == 0);
  const Json document = checked(run);
  CHECK(document["verdict"] == "PASS");
  CHECK(document["exit_code"] == 0);
  CHECK(document["wrong"] == Json::array());
  CHECK(document["first_divergence"].is_null());
  CHECK(document["reproduce"].is_null());
  CHECK(document["planted"].is_null());
  CHECK(document["depth"] == "quick");
  CHECK(document["subject"]["dtype"] == "float32");
  CHECK(document["subject"]["threads"] == 1);
  CHECK_THAT(document["checkpoint"].get<std::string>(), Contains("step 160"));
  for (const auto& [code, level] : document["levels"].items()) {
    CAPTURE(code);
    CHECK(level["checks"] > 0);
    CHECK(level["failures"] == 0);
  }
  CHECK(document["model"]["vectors"]["positions"] > 0);
  CHECK(document["model"]["oracle"]["logits"]["checks"] > 0);
  CHECK(document["scenarios"] == document["outcomes"].size());
  CHECK(document["longest_sequence"] > 129);  // past the short window of 128 keys
  for (const char* dtype : {"float64", "float32"}) CHECK(document["calibration"][dtype]["doubts"] == Json::array());
}

TEST_CASE("in text verify ends with the verdict", "[program][verify]") {
  const auto run = run_kvproof(tiny({"--quick"}));
  CHECK(run.code == 0);
  CHECK_THAT(run.out, Contains("\nCould it have failed?\n"));
  CHECK_THAT(run.out, Contains("\nNot covered\n"));
  const auto last = run.out.rfind('\n', run.out.size() - 2) + 1;
  const auto verdict = run.out.rfind("\nPASS: ");
  REQUIRE(verdict != std::string::npos);
  CHECK(run.out.substr(verdict + 1, last).find("\n\n") == std::string::npos);  // nothing behind it
  CHECK(run.out.find('\x1b') == std::string::npos);
}

namespace {

struct PlantedCase {
  const char *fault, *wrong, *suspect;
};

void check_found(const Words& words, const PlantedCase& one) {
  const auto run = run_kvproof(as_json(words + Words{"--quick", "--plant", one.fault}));
  CAPTURE(one.fault, run.err);
  CHECK(run.code == 5);
  const Json document = checked(run);
  CHECK(document["verdict"] == "FAIL");
  CHECK(document["exit_code"] == 5);
  CHECK(document["planted"] == one.fault);
  CHECK(document["wrong"] == Json::array({one.wrong}));
  REQUIRE(document["first_divergence"].is_object());
  CHECK(document["first_divergence"]["suspect"] == one.suspect);
  CHECK_FALSE(document["first_divergence"]["hint"].get<std::string>().empty());
  CHECK_THAT(document["reproduce"].get<std::string>(), Contains(std::string(" --plant ") + one.fault));
}

}  // namespace

TEST_CASE("planted faults are found in the embedded model, in a fraction of the time there is", "[program][verify]") {
  for (const PlantedCase& one : {PlantedCase{"position-plus-one-in-decode", "cache", "position"},
                                 {"clone-fills-row-0-only", "cache", "clone"},
                                 {"smear-dropped-in-decode", "cache", "smear"},
                                 {"max-tokens-plus-one", "generation", "generation"}})
    check_found(verify(Words{"--max-time", "0.1"} + demo_flags()), one);
  check_found(verify(demo_flags()),
              {"window-one-narrower", "cache", "window"});  // the window is 128 keys: that takes longer
}

TEST_CASE("planted faults are found in a synthetic model", "[program][verify]") {
  for (const PlantedCase& one : {PlantedCase{"chunk-not-causal", "cache", "mask"},
                                 {"values-copied-in-part", "cache", "cache write"},
                                 {"growth-loses-the-last-slot", "cache", "growth"},
                                 {"truncate-one-too-far", "cache", "rollback"}})
    check_found(tiny({}), one);
}

TEST_CASE("the command that a failure gives runs the same scenario to the same numbers", "[program][verify]") {
  for (const char* fault : {"window-one-narrower", "max-tokens-plus-one"}) {
    const auto run = run_kvproof(Words{"--format", "json"} + tiny({"--quick", "--seed", "7", "--plant", fault}));
    const Json document = checked(run);
    CAPTURE(fault, run.err);
    const std::string command = document["reproduce"], scenario = document["first_divergence"]["scenario"];
    CHECK(command == "kvproof verify --threads 1 --synthetic " + kTiny + " --arch short_window=5 --seed 7 --plant " +
                         fault + " --only '" + scenario + "'");
    const auto alone = run_kvproof(as_json(tiny({"--seed", "7", "--plant", fault, "--only", scenario})));
    CHECK(alone.code == 5);
    const Json again = checked(alone);
    CHECK(again["depth"] == "only");
    REQUIRE(again["outcomes"].size() == 1);
    CHECK(again["first_divergence"]["error"] == document["first_divergence"]["error"]);
    for (const Json& outcome : document["outcomes"])
      if (outcome["name"] == scenario) CHECK(again["outcomes"][0] == outcome);
  }
}

TEST_CASE("a scenario by name is all that is run", "[program][verify]") {
  const auto run = run_kvproof(as_json(
      tiny({"--only", "chunks[3,1,4]/float64", "--only", "decode[5,3]/float32", "--only", "script_bare[4]/float64"})));
  CAPTURE(run.err);
  CHECK(run.code == 0);
  const Json document = checked(run);
  CHECK(document["depth"] == "only");
  CHECK(document["scenarios"] == 3);
  CHECK(document["model"]["vectors"].is_null());
  CHECK(document["model"]["oracle"].is_null());
}

TEST_CASE("every dtype is verified beside the same code in float64", "[program][verify]") {
  for (const std::string dtype : {"float64", "bfloat16", "float16"}) {
    const auto run = run_kvproof(as_json(tiny({"--quick", "--dtype", dtype})));
    CAPTURE(dtype, run.err);
    CHECK(run.code == 0);
    const Json document = checked(run);
    CHECK(document["subject"]["dtype"] == dtype);
    CHECK(document["calibration"].size() == (dtype == "float64" ? 1u : 2u));
    CHECK(document["calibration"]["float64"]["unit"] == "max_abs");
    if (dtype != "float64") CHECK(document["calibration"][dtype]["unit"] == "R");
  }
}

TEST_CASE("little time leaves scenarios out, by name", "[program][verify]") {
  const auto run = run_kvproof(as_json(tiny({"--quick", "--max-time", "0.1", "--dtype", "float64"})));
  CHECK(run.code == 0);
  CHECK_THAT(checked(run)["not_covered"].dump(), Contains("left out for time"));
}

TEST_CASE("a model whose attention writes nothing is no proof of anything", "[program][verify]") {
  const TempDir temp;
  auto checkpoint = kvproof::synthesize_checkpoint(kTiny);
  for (auto& [name, tensor] : checkpoint.tensors)
    if (name.find("attn.c_proj.weight") != std::string::npos) tensor = tensor.clone().zero_();
  kvproof::save_checkpoint(checkpoint, temp.path() / "zero", "d2", 1);
  const auto run = run_kvproof(as_json(verify({"--base-dir", temp / "zero", "--quick"})));
  CAPTURE(run.err);
  CHECK(run.code == 3);
  const Json document = checked(run);
  CHECK(document["verdict"] == "INCONCLUSIVE");
  CHECK(document["exit_code"] == 3);
  CHECK(document["first_divergence"].is_null());
  CHECK_FALSE(document["calibration"]["float64"]["doubts"].empty());
  CHECK(run_kvproof(verify({"--base-dir", temp / "zero", "--quick", "--plant", "decode-key-not-stored"})).code == 5);
}

TEST_CASE("the list of faults says of each whether this model can show it", "[program][verify]") {
  const Words list = {"verify", "--list-faults"};
  const Json document = run_kvproof(as_json(list + demo_flags())).json();
  const auto& faults = document["faults"];
  CHECK(faults.size() >= 60);
  std::set<std::string> names, classes;
  for (const Json& fault : faults) {
    CAPTURE(fault);
    CHECK(names.insert(fault["name"]).second);
    classes.insert(fault["class"].get<std::string>());
    CHECK_FALSE(fault["summary"].get<std::string>().empty());
    CHECK(fault["applicable"].get<bool>() == fault["reason"].is_null());
    CHECK(fault["applicable"].get<bool>() == fault["place"].is_object());
    if (fault["place"].is_object()) CHECK_FALSE(fault["place"]["suspects"].empty());
  }
  CHECK(classes == std::set<std::string>{"position", "mask", "window", "gqa", "scale", "storage", "dtype", "clone",
                                         "growth", "rows", "reset", "rollback", "side-state", "value-embedding",
                                         "generation"});
  const auto text = run_kvproof(list + Words{"--synthetic", "d1,vocab_size=64,n_embd=32,n_head=1,generation=2025-10"});
  CHECK(text.code == 0);
  CHECK_THAT(text.out, Contains("not applicable: the model has no sliding window"));
}
