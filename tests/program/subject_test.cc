// Engines in child processes, as users meet them: verify --subject, and `subject:` in a config for run and plan.
#include <cstdlib>

#include "tests/program/program.h"
#include "tests/support/json_schema.h"

using namespace kvproof::testing;
using Json = nlohmann::json;
using Words = std::vector<std::string>;
using Catch::Matchers::Contains;

namespace {

const std::string kTiny = "d2,vocab_size=61,n_embd=32,n_head=2,sequence_len=32";
const std::string kOurs = std::string("'") + KVPROOF_PROGRAM + "' subject --threads 1 --synthetic " + kTiny;

/// The document, held against its schema.
Json checked(const Json& document, const std::string& schema) {
  const JsonSchema rules(JsonSchema::Json::parse(read_file(source_path("results/" + schema + ".schema.json"))));
  const auto errors = rules.errors(JsonSchema::Json::parse(document.dump()));
  CAPTURE(errors);
  CHECK(errors.empty());
  return document;
}

Words verify(const std::string& subject, const Words& more = {}) {
  return Words{"verify", "--quick", "--max-time", "1", "--subject", subject, "--format", "json"} + more;
}

bool has_python() {
  static const bool has = std::system("python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null") == 0;
  return has;
}
std::string skeleton() { return "python3 '" + source_path("harness/adapters/adapter_skeleton.py") + "'"; }
std::string faulty(const std::string& fault) {
  return "python3 '" + source_path("tests/harness/adapters/faulty_skeleton.py") + "' --fault " + fault;
}

std::string config_of(const std::string& checkpoints) {
  return "checkpoints:\n" + checkpoints +
         "prompts: [{name: ids, tokens: [1, 2, 3]}]\n"
         "sampler: {temperature: 0, max_tokens: 5}\n"
         "run: {repetitions: 3}\n";
}
std::string entry(const std::string& name, const std::string& subject, const std::string& more = "") {
  return "  - {name: " + name + ", subject: " + Json(subject).dump() + more + "}\n";
}

struct Recorded {
  ProgramRun run;
  Json record;
};
Recorded record_of(const std::string& config) {
  const TempDir temp;
  write_file_of(temp / "run.yaml", config);
  Recorded result{run_kvproof({"run", temp / "run.yaml", "--format", "json", "--out", temp / "record.json"}), {}};
  INFO(result.run.err);
  result.record = checked(result.run.json(), "record");
  const auto report = run_kvproof({"report", temp / "record.json"});
  CAPTURE(report.err);
  CHECK(report.code == 0);  // whatever a record holds can be read
  return result;
}

}  // namespace

TEST_CASE("our own engine behind the protocol passes, alone and against its checkpoint", "[program][subject]") {
  struct Case {
    Words flags;
    bool against_ours;
  };
  const Words model = {"--synthetic", kTiny};
  for (const Case& one : {Case{{}, false},
                          {model + Words{"--reference", "own"}, false},
                          {model + Words{"--reference", "engine"}, true},
                          {model, true}}) {  // both
    CAPTURE(one.flags);
    const auto run = run_kvproof(verify(kOurs, one.flags + Words{"--threads", "1"}));
    CAPTURE(run.err, run.out);
    CHECK(run.code == 0);
    const Json document = checked(run.json(), "verify");
    CHECK(document["verdict"] == "PASS");
    CHECK(document["command"] == kOurs);
    CHECK(document["protocol"]["name"] == "kvproof-subject/1");
    CHECK(document["protocol"]["call_ns"] > 0);
    CHECK(document["protocol"]["restarts"] == 0);
    CHECK(document["model"]["against_ours"].is_object() == one.against_ours);
    CHECK(document["checkpoint"].is_null() == (one.flags.empty() || one.flags.front() == "--reference"));
    CHECK(document["subject"]["threads"] == 1);
  }
}

TEST_CASE("another checkpoint than the subject's is a wrong model", "[program][subject]") {
  const auto run = run_kvproof(verify(kOurs, {"--synthetic", kTiny + ",seed=5"}));
  CHECK(run.code == 5);
  CHECK(run.json()["wrong"] == Json::array({"model"}));
}

TEST_CASE("what a subject cannot be asked is told with the flag at fault", "[program][subject]") {
  struct Case {
    Words words;
    int code;
    std::string message;  // a part
  };
  const Words model = {"--synthetic", kTiny};
  for (const Case& one : {
           Case{{"verify", "--reference", "own"}, 2, "--reference: is for --subject"},
           {{"verify", "--subject-timeout", "3"}, 2, "--subject-timeout: is for --subject"},
           {verify(kOurs, {"--reference", "engine"}), 2,
            "--reference: engine needs the checkpoint that the subject runs; give its model flags"},
           {verify(kOurs, {"--reference", "them"}), 2, "--reference: unknown value \"them\"; one of own, engine, both"},
           {verify(kOurs, {"--plant", "chunk-not-causal"}), 2,
            "--subject: cannot be combined with --plant: that is for our own engine"},
           {verify("/nowhere/engine"), 6, "/nowhere/engine: "},
           {verify("exit 3"), 6, "exit status 3"},
           {verify("echo Hello there"), 6, "Hello there"},
       }) {
    CAPTURE(one.words);
    const auto run = run_kvproof(one.words);
    CAPTURE(run.err);
    CHECK(run.code == one.code);
    CHECK_THAT(run.last_error_line(), Contains(one.message));
  }
  const auto other = run_kvproof(verify(kOurs, {"--synthetic", "d2,vocab_size=64,n_embd=32,n_head=2"}));
  CAPTURE(other.err, other.out);
  CHECK(other.code == 2);
  CHECK_THAT(other.err + other.out,
             Contains("the checkpoint's 64; give the checkpoint that it runs, or no model flags"));
}

TEST_CASE("run measures an engine behind the protocol, with a checkpoint and alone", "[program][subject]") {
  const auto [run, record] =
      record_of(config_of(entry("beside", kOurs, ", synthetic: \"" + kTiny + "\"") + entry("alone", kOurs)));
  CAPTURE(run.err);
  CHECK(run.code == 0);
  REQUIRE(record["cases"].size() == 2);
  for (const Json& one : record["cases"]) {
    CAPTURE(one["id"]);
    CHECK(one["status"] == "ok");
    CHECK(one["agreement"]["verdict"] == "AGREE");
    CHECK(one["verification"]["verdict"] == "PASS");
    CHECK(one["speedup"]["e2e"]["ratio"] > 0);
    CHECK(one["speedup"]["withheld"].is_null());
    for (const char* path : {"naive", "engine"}) {
      CHECK(one["paths"][path]["metrics"]["own_prefill_ns"]["median"] > 0);
      CHECK(one["paths"][path]["metrics"]["own_tpot_ns"]["median"] > 0);
    }
  }
  const Json &beside = record["cases"][0]["work"], &alone = record["cases"][1]["work"];
  CHECK(beside["ceiling"].is_number());
  CHECK(alone["ceiling"].is_null());
  CHECK(alone["ceiling_reason"] == "the subject's weights are not known here");
  CHECK(record["checkpoints"][0]["subject"] == kOurs);
  CHECK(record["checkpoints"][1]["parameters"].is_null());
  CHECK(record["cases"][0]["paths"]["engine"]["rows"] == record["cases"][1]["paths"]["engine"]["rows"]);
}

TEST_CASE("plan tells what engines behind the protocol will do", "[program][subject]") {
  const TempDir temp;
  write_file_of(temp / "run.yaml",
                config_of(entry("beside", kOurs, ", synthetic: \"" + kTiny + "\"") + entry("alone", kOurs)));
  const auto run = run_kvproof({"plan", temp / "run.yaml", "--format", "json"});
  CAPTURE(run.err);
  REQUIRE(run.code == 0);
  for (const Json& one : run.json()["cases"]) {
    CHECK(one["naive_token_forwards"] == 3 + 4 + 5 + 6 + 7);
    CHECK(one["engine_token_forwards"] == 3 + 4);
  }
}

TEST_CASE("an adapter in Python is measured and its report is read", "[program][subject]") {
  if (!has_python()) return;
  const auto [run, record] = record_of(config_of(entry("skeleton", skeleton())));
  CAPTURE(run.err);
  CHECK(run.code == 0);
  CHECK(record["cases"][0]["agreement"]["verdict"] == "AGREE");
  CHECK(record["cases"][0]["verification"]["verdict"] == "PASS");
  CHECK(record["cases"][0]["work"]["kv_bytes_per_token"].is_null());
}

TEST_CASE("a fault in use makes a case invalid, a latent one is a warning, and both show in the exit code",
          "[program][subject]") {
  if (!has_python()) return;
  const auto [run, record] = record_of(config_of(entry("in-use", faulty("clone-copies-row-0-only")) +
                                                 entry("latent", faulty("truncate-leaves-the-length"))));
  CAPTURE(run.err);
  CHECK(run.code == 5);
  CHECK(record["exit_code"] == 5);
  const Json &in_use = record["cases"][0], &latent = record["cases"][1];
  CHECK(in_use["validity"]["verdict"] == "INVALID");
  CHECK_FALSE(in_use["speedup"]["withheld"].is_null());
  CHECK(latent["validity"]["verdict"] == "VALID");
  CHECK(latent["speedup"]["withheld"].is_null());
  CHECK(latent["speedup"]["e2e"]["ratio"] > 0);
  CHECK_THAT(record["warnings"].dump(), Contains("latent"));
  for (const Json& verification : record["verifications"]) CHECK(verification["verdict"] == "FAIL");
}
