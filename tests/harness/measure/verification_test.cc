// Runs whose caches are verified: sound, broken, undecided, not at all.
#include "harness/measure/verification.h"

#include <ATen/ops/zeros_like.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <utility>

#include "engine/model/model.h"
#include "harness/measure/run.h"
#include "tests/harness/config/config_file.h"
#include "tests/harness/measure/fake_peaks.h"
#include "tests/harness/measure/support.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;

namespace {

LoadedConfig config_of(const std::string& rest, const std::string& checkpoint = kTiny) {
  return load_text("checkpoints: [" + checkpoint +
                   "]\nprompts: [{name: a, tokens: [1, 2, 3, 4]}]\nsampler: {max_tokens: 8}\n" + rest);
}

/// Every plan of a cached forward that `broken` picks turns its keys and queries one position too far.
RunHooks planted(std::function<bool(const StepPlan&)> broken) {
  RunHooks hooks = fake_peaks();
  hooks.on_model = [broken = std::move(broken)](Model& model) {
    model.set_plan_filter([broken](StepPlan plan) {
      if (plan.cached && broken(plan))
        for (RowPlan& row : plan.rows) ++row.position;
      return plan;
    });
  };
  return hooks;
}

bool in_decode(const StepPlan& plan) { return plan.length == 1 && plan.rows[0].position > 0; }
bool in_later_chunks(const StepPlan& plan) { return plan.length > 1 && plan.rows[0].position > 0; }

/// A model as nanochat initialises it: no layer writes to the residual stream.
void zero_projections(Checkpoint& checkpoint) {
  for (auto& [name, tensor] : checkpoint.tensors)
    if (name.ends_with("c_proj.weight")) tensor = at::zeros_like(tensor);
}

}  // namespace

TEST_CASE("a run verifies the cache of a sound model once and in a tenth of the time that measuring took") {
  const LoadedConfig config = config_of("run: {repetitions: 3, threads: 1}\nsweep: {sampler.temperature: [0, 1]}");
  const auto begin = std::chrono::steady_clock::now();
  const RunOutcome outcome = run_config(config, {}, nullptr, fake_peaks());
  const double whole = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const Json& record = outcome.record;
  CHECK(schema_errors(record) == std::vector<std::string>{});
  CHECK(outcome.code == ExitCode::ok);
  REQUIRE(record["verifications"].size() == 1);
  const Json& v = record["verifications"][0];
  CHECK(v["verdict"] == "PASS");
  CHECK(v["checkpoint"] == "tiny");
  CHECK(v["dtype"] == "float32");
  CHECK(v["depth"] == "quick");
  CHECK(v["reproduce"].is_null());
  CHECK(v["outcomes"].empty());
  CHECK(v["model"]["vectors"].is_null());
  CHECK(v["levels"]["L5"]["checks"] == 0);
  CHECK(v["logits"]["float64"]["checks"] > 0);
  CHECK(v["logits"]["float32"]["checks"] > 0);
  const Json& errors = v["error_by_position"];
  CHECK(errors["positions"].size() == errors["max_abs"].size());
  REQUIRE(errors["levels"].contains("L3"));
  CHECK(errors["levels"]["L3"]["positions"].back() == errors["positions"].back());
  CHECK(errors["levels"]["L3"]["positions"].size() == errors["levels"]["L3"]["max_abs"].size());
  double sampled = 0;
  for (const Json& cell : record["cases"]) {
    CHECK(cell["verification"] == Json({{"verdict", "PASS"}, {"index", 0}}));
    CHECK(cell["speedup"]["verified"] == true);
    for (const char* path : {"naive", "engine"})
      for (const Json& sample : cell["paths"][path]["samples"]) sampled += 1e-9 * sample["e2e_ns"].get<double>();
  }
  CHECK(v["budget_seconds"].get<double>() >= 0.1 * sampled);
  CHECK(v["budget_seconds"].get<double>() <= 0.1 * whole);
  const bool says = std::any_of(v["not_covered"].begin(), v["not_covered"].end(), [](const Json& what) {
    return Contains("past the window of 128 keys").match(what.get<std::string>());
  });
  CHECK(says);  // so short a run cannot pay for it
}

TEST_CASE("a run whose engine decodes at a wrong position is INVALID, without a speed-up, and ends with 5") {
  const LoadedConfig config = config_of("run: {repetitions: 1, threads: 1}");
  const RunOutcome outcome = run_config(config, {}, nullptr, planted(in_decode));
  const Json& record = outcome.record;
  CHECK(schema_errors(record) == std::vector<std::string>{});
  CHECK(outcome.code == ExitCode::disagree);
  CHECK(record["exit_code"] == 5);
  const Json &cell = record["cases"][0], &v = record["verifications"][0];
  CHECK(cell["agreement"]["verdict"] == "DISAGREE");
  CHECK(cell["validity"]["verdict"] == "INVALID");
  CHECK(cell["validity"]["reasons"].size() == 2);
  CHECK_THAT(cell["speedup"]["withheld"].get<std::string>(), StartsWith("the outputs disagree: "));
  CHECK(v["verdict"] == "FAIL");
  CHECK(v["wrong"] == Json::array({"cache"}));
  REQUIRE(v["outcomes"].size() > 0);
  for (const Json& failed : v["outcomes"]) CHECK(failed["failed"] == true);
  CHECK_THAT(v["reproduce"].get<std::string>(),
             StartsWith("kvproof verify --synthetic d2,vocab_size=97,n_embd=64,n_head=4,n_kv_head=2,sequence_len=32,"
                        "seed=3 --dtype float32 --threads 1 --only '") &&
                 EndsWith("/float64'"));
}

TEST_CASE("a fault that no case of the run can show fails its verification, and so every case of the group") {
  const LoadedConfig config = config_of("run: {repetitions: 1, threads: 1}\nsweep: {run.verify: [quick, \"off\"]}");
  const RunOutcome outcome = run_config(config, {}, nullptr, planted(in_later_chunks));
  const Json& record = outcome.record;
  CHECK(schema_errors(record) == std::vector<std::string>{});
  CHECK(outcome.code == ExitCode::disagree);
  const Json &cell = record["cases"][0], &off = record["cases"][1], &v = record["verifications"][0];
  CHECK(cell["agreement"]["verdict"] == "AGREE");
  CHECK(cell["verification"]["verdict"] == "FAIL");
  const std::string why = "verification failed: " + v["explanation"].get<std::string>();
  CHECK(cell["validity"] == Json({{"verdict", "INVALID"}, {"reasons", Json::array({why})}}));
  CHECK(cell["speedup"]["withheld"] == why);
  CHECK(off["verification"] == Json({{"verdict", "OFF"}, {"index", nullptr}}));
  CHECK(off["speedup"]["verified"] == false);
}

TEST_CASE("a model whose projections are zero is undecided: the speed-up stands unverified, with a warning") {
  const ConfigFolder folder;
  Checkpoint checkpoint = small_checkpoint("sequence_len=32");
  zero_projections(checkpoint);
  save_checkpoint(checkpoint, folder.dir() / "base", "d4", 1);
  const LoadedConfig config = config_of("run: {repetitions: 1, threads: 1}",
                                        "{name: fresh, base_dir: '" + (folder.dir() / "base").string() + "'}");
  const RunOutcome outcome = run_config(config, {}, nullptr, fake_peaks());
  const Json& record = outcome.record;
  CHECK(schema_errors(record) == std::vector<std::string>{});
  CHECK(outcome.code == ExitCode::ok);
  CHECK(record["verifications"][0]["verdict"] == "INCONCLUSIVE");
  CHECK(record["verifications"][0]["reproduce"].is_null());
  const Json& cell = record["cases"][0];
  CHECK(cell["verification"]["verdict"] == "INCONCLUSIVE");
  CHECK(cell["validity"]["verdict"] == "VALID");
  CHECK(cell["speedup"]["withheld"].is_null());
  CHECK(cell["speedup"]["e2e"].is_object());
  CHECK(cell["speedup"]["verified"] == false);
  const bool warned = std::any_of(record["warnings"].begin(), record["warnings"].end(), [](const Json& warning) {
    return StartsWith("fresh/a: verification is inconclusive: float64: ").match(warning.get<std::string>());
  });
  CHECK(warned);
}

TEST_CASE("full verification takes its own time, looks at generators, and compares Python's vectors once a run") {
  const LoadedConfig config =
      config_of("run: {repetitions: 1, threads: 1, verify: full}\nsweep: {run.dtype: [float64, float32]}");
  const RunOutcome outcome = run_config(config, {}, nullptr, fake_peaks());
  const Json& record = outcome.record;
  CHECK(schema_errors(record) == std::vector<std::string>{});
  CHECK(outcome.code == ExitCode::ok);
  REQUIRE(record["verifications"].size() == 2);
  for (const Json& v : record["verifications"]) {
    CHECK(v["verdict"] == "PASS");
    CHECK(v["depth"] == "full");
    CHECK(v["budget_seconds"].is_null());
    CHECK(v["levels"]["L5"]["checks"] > 0);
  }
  CHECK(record["verifications"][0]["model"]["vectors"].is_object());
  CHECK(record["verifications"][1]["model"]["vectors"].is_null());
  CHECK(record["cases"][1]["verification"] == Json({{"verdict", "PASS"}, {"index", 1}}));
}

TEST_CASE("without verification nothing is verified") {
  const RunOutcome outcome =
      run_config(config_of("run: {repetitions: 1, threads: 1, verify: off}"), {}, nullptr, planted(in_later_chunks));
  CHECK(schema_errors(outcome.record) == std::vector<std::string>{});
  CHECK(outcome.record["verifications"] == Json::array());
  CHECK(outcome.record["cases"][0]["verification"] == Json({{"verdict", "OFF"}, {"index", nullptr}}));
}

TEST_CASE("a group is verified as deeply as the deepest of its cases asks") {
  Case off, quick, full;
  off.run.verify = "off";
  full.run.verify = "full";
  CHECK(deepest({}) == std::nullopt);
  CHECK(deepest({&off}) == std::nullopt);
  CHECK(deepest({&off, &quick}) == Depth::quick);
  CHECK(deepest({&quick, &full, &off}) == Depth::full);
}

TEST_CASE("quick takes a tenth of what measuring took, full what verification takes by itself") {
  CHECK(verify_options(Depth::quick, 20, true).seconds == Approx(2));
  CHECK(verify_options(Depth::quick, 0, true).seconds > 0);  // 0 would stand for two seconds
  CHECK_FALSE(verify_options(Depth::quick, 20, true).vectors);
  CHECK_FALSE(verify_options(Depth::quick, 20, true).behaviour);
  CHECK(verify_options(Depth::full, 20, true).seconds == 0);
  CHECK(verify_options(Depth::full, 20, true).vectors);
  CHECK_FALSE(verify_options(Depth::full, 20, false).vectors);
  CHECK(verify_options(Depth::full, 20, true).behaviour);
}

TEST_CASE("the command that runs a scenario again names the model as the config opened it") {
  const CheckpointSession session{demo_checkpoint(), std::nullopt};
  CheckpointSpec spec;
  RunSpec run;
  const std::string base = session.checkpoint->location.base_dir.string();
  CHECK(verify_command(spec, session, run, "bfloat16", "decode[1,4]/float64") ==
        "kvproof verify --base-dir " + base +
            " --source sft --tag d4 --step 160 --dtype bfloat16 --only 'decode[1,4]/float64'");
  spec.synthetic = "d2";
  spec.architecture = {{"softcap", "20"}, {"window_pattern", "S L"}};
  run.device = "cpu";
  run.threads = 2;
  CHECK(verify_command(spec, session, run, "float32", "") ==
        "kvproof verify --synthetic d2 --arch softcap=20 --arch 'window_pattern=S L' --dtype float32 --device cpu "
        "--threads 2");
  CHECK(verify_command(spec, session, run, "float32", "calibration/float64") ==
        verify_command(spec, session, run, "float32", ""));
}

TEST_CASE("the estimate of quick verification is a tenth and a constant, that of full is longer") {
  const SubjectInfo info{.name = "s",
                         .backend = "aten",
                         .dtype = "float32",
                         .device = "cpu",
                         .threads = 1,
                         .vocab_size = 97,
                         .rotary_len = 320,
                         .n_layer = 2,
                         .n_head = 4,
                         .n_kv_head = 2,
                         .head_dim = 16,
                         .n_embd = 64,
                         .sequence_len = 32,
                         .windows = {32, 32}};
  const double quick = estimated_verification_s(info, Depth::quick, 30);
  CHECK(quick > 0.5);
  CHECK(quick <= 0.5 + 3);
  CHECK(estimated_verification_s(info, Depth::full, 30) > quick);
}
