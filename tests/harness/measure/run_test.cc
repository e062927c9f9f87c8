#include "harness/measure/run.h"

#include "engine/model/model.h"
#include "harness/measure/plan.h"
#include "tests/harness/config/config_file.h"
#include "tests/harness/measure/fake_peaks.h"
#include "tests/harness/measure/support.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

std::string demo() { return "{name: demo, base_dir: " + source_path("configs/checkpoints/demo-d4") + ", source: sft}"; }

std::string config_text(const std::string& checkpoints, const std::string& prompts, const std::string& rest) {
  return "checkpoints: [" + checkpoints + "]\nprompts: [" + prompts + "]\n" + rest;
}

std::vector<std::string> ids_in(const Json& record) {
  std::vector<std::string> ids;
  for (const Json& cell : record["cases"]) ids.push_back(cell["id"]);
  return ids;
}

class Events : public Progress {
 public:
  std::vector<ProgressEvent> all;
  void on_event(const ProgressEvent& event) override { all.push_back(event); }
};

}  // namespace

TEST_CASE("the embedded checkpoint runs from config to record: it agrees, is faster, and the record obeys its schema") {
  const LoadedConfig config = load_text(
      config_text(demo(),
                  "{name: speed, text: In the beginning God created, sampler: {max_tokens: 32, stop: off}},"
                  "{name: tool, chat: 'What is 12 times 7?'},"
                  "{name: sampled, text: And the LORD said, sampler: {temperature: 0.8, top_k: 50, num_samples: 3}}",
                  "sampler: {temperature: 0, max_tokens: 24}\nrun: {repetitions: 2, threads: 1}"));
  const RunOutcome outcome = run_config(config, {"kvproof", "run", "x.yaml"}, nullptr, fake_peaks());
  const Json& record = outcome.record;
  CHECK(schema_errors(record) == std::vector<std::string>{});
  CHECK(outcome.code == ExitCode::ok);
  CHECK(record["exit_code"] == 0);
  CHECK(record["command"] == Json({"kvproof", "run", "x.yaml"}));
  CHECK(record["config"]["hash"] == config.hash);
  CHECK(ids_in(record) == std::vector<std::string>{"demo/speed", "demo/tool", "demo/sampled"});
  REQUIRE(record["checkpoints"].size() == 1);
  CHECK(record["checkpoints"][0]["source"] == "sft");
  CHECK(record["checkpoints"][0]["step"] == 160);
  CHECK(record["checkpoints"][0]["generation"] == "head");
  for (const Json& cell : record["cases"]) {
    CAPTURE(cell["id"], cell["agreement"]["explanation"], cell["validity"]);
    CHECK(cell["status"] == "ok");
    CHECK(cell["validity"]["verdict"] == "VALID");
    CHECK(cell["agreement"]["verdict"] == "AGREE");
    CHECK(cell["agreement"]["logits"]["error_ratio"] <= 2.0);  // worst seen 0.58
    CHECK(cell["speedup"]["withheld"].is_null());
    CHECK(cell["speedup"]["verified"] == true);
    CHECK(cell["paths"]["naive"]["samples"].size() == 2);
    CHECK(cell["paths"]["engine"]["kv_cache_bytes"] > 0);
  }
  const Json& speed = record["cases"][0];
  CHECK(speed["shape"]["label"] == "pp" + std::to_string(speed["prompt"]["tokens"].size()) + " tg32");
  CHECK(speed["work"]["work_ratio"] > 10.0);
  CHECK(speed["speedup"]["e2e"]["ratio"] > 1.0);
  CHECK(speed["speedup"]["e2e"]["low"].is_null());  // two repetitions
  CHECK(speed["paths"]["engine"]["rows"] == speed["paths"]["naive"]["rows"]);

  const Json& tool = record["cases"][1];
  CHECK(tool["settings"]["sampler"]["tools"] == true);
  CHECK(tool["settings"]["sampler"]["stop"] == true);
  CHECK(tool["agreement"]["replayed_forced_tokens"] >= 3);  // <|output_start|>, 84, <|output_end|>
  CHECK(tool["agreement"]["replayed_forced_tokens"] == std::count(tool["paths"]["engine"]["rows"][0]["mask"].begin(),
                                                                  tool["paths"]["engine"]["rows"][0]["mask"].end(), 0) -
                                                           static_cast<int64_t>(tool["prompt"]["tokens"].size()));
  CHECK_THAT(tool["paths"]["naive"]["rows"][0]["text"].get<std::string>(),
             Contains("<|output_start|>84<|output_end|>"));
  CHECK_THAT(tool["paths"]["engine"]["rows"][0]["completion"].get<std::string>(),
             Contains("12*7") && !Contains("<|output_start|>"));
  CHECK(tool["paths"]["engine"]["rows"][0]["finish"] == "stop");
  CHECK(record["cases"][2]["paths"]["engine"]["rows"].size() == 3);

  REQUIRE(record["warnings"].size() >= 1);
  CHECK(std::count(record["warnings"].begin(), record["warnings"].end(),
                   "demo/speed, demo/tool, demo/sampled: 2 repetitions carry no 95 % interval; set run.repetitions to "
                   "6 or more") == 1);
}

TEST_CASE("cases of one sweep run grouped by model and stand in the config's order") {
  const LoadedConfig config = load_text(config_text(kTiny, "{name: a, tokens: [1, 2, 3]}, {name: b, tokens: [4]}",
                                                    "sampler: {max_tokens: 4, temperature: 0}\nrun: {repetitions: 1, "
                                                    "threads: 1}\nsweep: {run.dtype: [float64, bfloat16]}"));
  Events events;
  const RunOutcome outcome = run_config(config, {}, &events, fake_peaks());
  CHECK(schema_errors(outcome.record) == std::vector<std::string>{});
  CHECK(outcome.code == ExitCode::ok);
  CHECK(ids_in(outcome.record) == std::vector<std::string>{"tiny/a/run.dtype=float64", "tiny/a/run.dtype=bfloat16",
                                                           "tiny/b/run.dtype=float64", "tiny/b/run.dtype=bfloat16"});
  std::vector<std::string> dtypes, order;
  for (const Json& cell : outcome.record["cases"]) dtypes.push_back(cell["settings"]["run"]["dtype"]);
  CHECK(dtypes == std::vector<std::string>{"float64", "bfloat16", "float64", "bfloat16"});
  for (const ProgressEvent& event : events.all) {
    CHECK(event.cases == 4);
    if (event.stage == "first call" && event.done == 0) order.push_back(event.case_id);
    if (event.stage == "repetition") CHECK((event.number == 1) == !event.seconds_left.has_value());
  }
  CHECK(order == std::vector<std::string>{"tiny/a/run.dtype=float64", "tiny/b/run.dtype=float64",
                                          "tiny/a/run.dtype=bfloat16", "tiny/b/run.dtype=bfloat16"});
  const Json& cell = outcome.record["cases"][0];
  CHECK(cell["paths"]["engine"]["rows"][0]["text"].is_null());
  CHECK(cell["settings"]["sampler"]["stop"] == false);   // token ids
  CHECK(cell["settings"]["sampler"]["tools"] == false);  // no tokenizer
  CHECK(outcome.record["checkpoints"][0]["path"].is_null());
}

TEST_CASE("a case that fails says why and stops no other; the exit code is the worst") {
  const LoadedConfig config =
      load_text(config_text("{name: gone, base_dir: /nonexistent/kvproof}, " + kTiny,
                            "{name: ids, tokens: [1, 2]}, {name: words, text: hello},"
                            "{name: long, synthetic: {length: 320}, sampler: {max_tokens: 2}}",
                            "sampler: {max_tokens: 2, temperature: 0}\nrun: {repetitions: 1, threads: 1}"));
  const RunOutcome outcome = run_config(config, {}, nullptr, fake_peaks());
  CHECK(schema_errors(outcome.record) == std::vector<std::string>{});
  CHECK(outcome.code == ExitCode::usage);  // text without a tokenizer is the config's fault, and 2 comes before 6
  std::map<std::string, std::string> kinds;
  for (const Json& cell : outcome.record["cases"]) {
    kinds[cell["id"]] = cell["status"] == "ok" ? "ok" : cell["error"]["kind"].get<std::string>();
  }
  CHECK(kinds == std::map<std::string, std::string>{{"gone/ids", "checkpoint"},
                                                    {"gone/words", "checkpoint"},
                                                    {"gone/long", "checkpoint"},
                                                    {"tiny/ids", "ok"},
                                                    {"tiny/words", "config"},
                                                    {"tiny/long", "capacity"}});
  CHECK(outcome.record["checkpoints"].size() == 1);
}

TEST_CASE("without verification the speed-up stands, unverified") {
  const LoadedConfig config =
      load_text(config_text(kTiny, "{name: a, tokens: [1, 2, 3]}",
                            "sampler: {max_tokens: 4}\nrun: {repetitions: 1, verify: off, threads: 1}"));
  const RunOutcome outcome = run_config(config, {}, nullptr, fake_peaks());
  CHECK(schema_errors(outcome.record) == std::vector<std::string>{});
  CHECK(outcome.code == ExitCode::ok);
  const Json& cell = outcome.record["cases"][0];
  CHECK(cell["agreement"]["verdict"] == "UNVERIFIED");
  CHECK(cell["agreement"]["logits"].is_null());
  CHECK(cell["speedup"]["withheld"].is_null());
  CHECK(cell["speedup"]["verified"] == false);
}

TEST_CASE("nanochat's sampling with top_k is judged by logits and fails nothing") {
  const LoadedConfig config = load_text(config_text(kTiny, "{name: a, tokens: [1, 2, 3]}",
                                                    "sampler: {max_tokens: 12, temperature: 1, top_k: 5, mode: "
                                                    "nanochat, num_samples: 2}\nrun: {repetitions: 1, threads: 1}"));
  const RunOutcome outcome = run_config(config, {}, nullptr, fake_peaks());
  CHECK(outcome.code == ExitCode::ok);
  CHECK(outcome.record["cases"][0]["agreement"]["verdict"] == "AGREE");
}

TEST_CASE("the thread count of a case is in its settings, and the process gets its own back") {
  const int before = set_threads(0);
  const LoadedConfig config =
      load_text(config_text(kTiny, "{name: a, tokens: [1, 2, 3]}",
                            "sampler: {max_tokens: 2}\nrun: {repetitions: 1}\nsweep: {run.threads: [1, 2]}"));
  const RunOutcome outcome = run_config(config, {}, nullptr, fake_peaks());
  CHECK(outcome.record["cases"][0]["settings"]["run"]["threads"] == 1);
  CHECK(outcome.record["cases"][1]["settings"]["run"]["threads"] == 2);
  CHECK(set_threads(0) == before);
}

TEST_CASE("the peaks of each model's threads and dtype are measured before and after its cases, and written down") {
  const LoadedConfig config =
      load_text(config_text(kTiny, "{name: a, tokens: [1, 2, 3]}, {name: b, tokens: [4, 5], run: {peaks: off}}",
                            "sampler: {max_tokens: 4}\nrun: {repetitions: 1, threads: 1, verify: off}\n"
                            "sweep: {run.dtype: [float32, bfloat16]}"));
  std::vector<PeakRequest> requests;
  const RunOutcome outcome = run_config(config, {}, nullptr, fake_peaks(&requests));
  CHECK(schema_errors(outcome.record) == std::vector<std::string>{});
  CHECK(outcome.code == ExitCode::ok);
  std::vector<std::string> dtypes;
  for (const PeakRequest& request : requests) dtypes.push_back(request.dtype);
  CHECK(dtypes == std::vector<std::string>{"float32", "float32", "bfloat16", "bfloat16"});
  REQUIRE(outcome.record["machine"]["peaks"].size() == 2);
  CHECK(outcome.record["machine"]["peaks"][1]["dtype"] == "bfloat16");
  CHECK(outcome.record["machine"]["peaks"][0]["threads"] == 1);
  CHECK(outcome.record["machine"]["peaks"][0]["read"][0]["bytes_per_s"] == 1e15);
  for (const Json& cell : outcome.record["cases"]) {
    const Json& use = cell["paths"]["engine"]["utilization"];
    CAPTURE(cell["id"], use);
    CHECK(use["decode"]["bytes_per_s"]["median"] > 0);
    const bool off = cell["prompt"]["name"] == "b";
    CHECK(use["decode"]["mbu"].is_null() == off);
    CHECK(use["prefill"]["mfu"].is_null() == off);
    if (off) CHECK(use["decode"]["mbu_reason"] == "run.peaks is off");
  }
}

TEST_CASE("with run.peaks off nothing is measured beside the cases") {
  const LoadedConfig config =
      load_text(config_text(kTiny, "{name: a, tokens: [1, 2, 3]}",
                            "sampler: {max_tokens: 4}\nrun: {repetitions: 1, threads: 1, verify: off, peaks: off}"));
  std::vector<PeakRequest> requests;
  const RunOutcome outcome = run_config(config, {}, nullptr, fake_peaks(&requests));
  CHECK(requests.empty());
  CHECK(outcome.record["machine"]["peaks"] == Json::array());
}

TEST_CASE("a decode that reads faster than the machine can makes its case INVALID, and the run ends with 6") {
  const LoadedConfig config =
      load_text(config_text(kTiny, "{name: a, tokens: [1, 2, 3]}",
                            "sampler: {max_tokens: 4}\nrun: {repetitions: 1, threads: 1, verify: off}"));
  const bool fits_no_cache = GENERATE(true, false);
  RunHooks hooks;
  hooks.machine = machine_facts();
  hooks.machine->l3_bytes = Fact<int64_t>::known(fits_no_cache ? 1 << 10 : 1 << 30);
  hooks.measure_peaks = [](const PeakRequest& request) { return peaks_of(request, 1e3, 1e18); };
  const RunOutcome outcome = run_config(config, {}, nullptr, hooks);
  CHECK(schema_errors(outcome.record) == std::vector<std::string>{});
  const Json& cell = outcome.record["cases"][0];
  CHECK(cell["paths"]["engine"]["utilization"]["decode"]["out_of_cache"] == fits_no_cache);
  CHECK(cell["paths"]["engine"]["utilization"]["decode"]["mbu"]["median"] > 1.0);
  CHECK(cell["validity"]["verdict"] == (fits_no_cache ? "INVALID" : "VALID"));
  CHECK(outcome.code == (fits_no_cache ? ExitCode::failed : ExitCode::ok));
  if (!fits_no_cache) return;
  CHECK_THAT(cell["validity"]["reasons"][0].get<std::string>(),
             StartsWith("decoding, naive read weights, keys and values at "));
  CHECK_THAT(cell["speedup"]["withheld"].get<std::string>(), StartsWith("the measurement is invalid: decoding, naive"));
}

TEST_CASE("a checkpoint that cannot tell its softcap gives a warning with the remedy") {
  const LoadedConfig config =
      load_text(config_text("{name: old, base_dir: " + golden_path("2026-02") + "}", "{name: a, tokens: [1, 2, 3]}",
                            "sampler: {max_tokens: 2}\nrun: {repetitions: 1, threads: 1}"));
  const RunOutcome outcome = run_config(config, {}, nullptr, fake_peaks());
  CHECK(outcome.code == ExitCode::ok);
  const auto& warnings = outcome.record["warnings"];
  CHECK(std::any_of(warnings.begin(), warnings.end(), [](const Json& warning) {
    return StartsWith("old: the checkpoint cannot tell softcap 15 or 20").match(warning.get<std::string>());
  }));
}

TEST_CASE("a plan lists shapes and exact work, and an estimate that grows with it") {
  const LoadedConfig config = load_text(
      config_text(kTiny, "{name: short, tokens: [1, 2, 3]}, {name: long, synthetic: {length: 200}}",
                  "sampler: {max_tokens: 8, num_samples: 2}\nrun: {repetitions: 20, threads: 1, peaks: off}"));
  const auto planned = plan_config(config).cases;
  REQUIRE(planned.size() == 2);
  CHECK(planned[0].id == "tiny/short");
  CHECK(planned[0].shape == "pp3 tg8");
  CHECK(planned[0].rows == 2);
  CHECK(planned[0].naive_token_forwards == 2 * (8 * 3 + 28));
  CHECK(planned[0].engine_token_forwards == 3 + 2 * 7);
  CHECK(planned[0].estimated_s > 0);
  CHECK(planned[1].prompt_tokens == 200);
  CHECK(planned[1].estimated_s > planned[0].estimated_s);
}

TEST_CASE("a plan counts the time that the machine's peaks take, once for a group") {
  const auto seconds = [](const std::string& peaks) {
    const auto planned = plan_config(load_text(
        config_text(kTiny, "{name: a, tokens: [1]}, {name: b, tokens: [2]}",
                    "sampler: {max_tokens: 1}\nrun: {repetitions: 1, threads: 1, verify: off, peaks: " + peaks + "}"))).cases;
    return std::pair(planned[0].estimated_s, planned[1].estimated_s);
  };
  const auto on = seconds("on"), off = seconds("off");
  CHECK(on.first > 2);
  CHECK(on.second < 1);
  CHECK(off.first < 2);
}

TEST_CASE("a plan estimates by rates: so many steps, so many FLOPs beyond them") {
  const LoadedConfig config = load_text(config_text(kTiny, "{name: a, tokens: [1, 2, 3]}",
                                                    "sampler: {max_tokens: 8}\nrun: {repetitions: 6, verify: off}"));
  const ModelDims dims{32, 97, 2, 4, 2, 64, {}};
  const GptConfig gpt(dims, architecture_of("head", dims));
  // FLOPs for nothing: 8 steps a generation, 2 paths, 1 cold + 3 warm-up + 6 repetitions; a fresh engine's generation and a
  // naive first token.
  const Prompt three{"p", PromptKind::tokens, "", {1, 2, 3}};
  const double seconds = 0.05 * (8 * 2 * 10 + 8 + 1);
  CHECK(estimate_case(config.cases[0], three, gpt, {0, 0.05, 1e300}).estimated_s == Approx(seconds));
  CHECK(estimate_case(config.cases[0], three, gpt, {7, 0.05, 1e300}).estimated_s == Approx(7 + seconds));
  // 8 seconds a round: two of warm-up spend its time.
  CHECK(estimate_case(config.cases[0], three, gpt, {0, 0.5, 1e300}).measured_s == Approx(8 * (1 + 2 + 6)));
}

TEST_CASE("a plan throws the first error that the run would meet") {
  const std::string ids = "{name: a, tokens: [1, 2, 3]}";
  CHECK_THROWS_AS(plan_config(load_text(config_text("{name: gone, base_dir: /nonexistent/kvproof}", ids, ""))),
                  CheckpointError);
  CHECK_THROWS_AS(plan_config(load_text(config_text(kTiny, "{name: a, text: hi}", "run: {threads: 1}"))), ConfigError);
  CHECK_THROWS_WITH(plan_config(load_text(config_text(kTiny, ids, "sampler: {max_tokens: 319}\nrun: {threads: 1}"))),
                    "tiny/a: a prompt of 3 and sampler.max_tokens 319 need 321 positions, the rotary tables hold 320; "
                    "shorten one of them");
  CHECK_NOTHROW(plan_config(load_text(config_text(kTiny, ids, "sampler: {max_tokens: 318}\nrun: {threads: 1}"))));
}

TEST_CASE("a fault of a spec that only the checkpoint library sees is placed in the config") {
  CHECK_THROWS_WITH(plan_config(load_text(
                        config_text("{name: m, synthetic: 'd4,n_head=3,n_kv_head=2'}", "{name: a, tokens: [1]}", ""))),
                    Contains(".yaml:1:") && Contains("synthetic"));
}
