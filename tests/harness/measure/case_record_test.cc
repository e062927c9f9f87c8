#include "harness/measure/case_record.h"

#include <fstream>
#include <new>
#include <stdexcept>

#include "harness/error.h"
#include "tests/harness/measure/scripted.h"
#include "tests/support/catch.h"
#include "tests/support/json_schema.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

/// What results/record.schema.json has against one case.
std::vector<std::string> schema_errors(const std::string& definition, const Json& cell) {
  std::ifstream file(source_path("results/record.schema.json"));
  const Json whole = Json::parse(file);
  return JsonSchema({{"$ref", "#/$defs/" + definition}, {"$defs", whole["$defs"]}}).errors(cell);
}

const CaseVerification kPassed{VerifyVerdict::pass, 0, "fine"}, kFailed{VerifyVerdict::fail, 2, "cache wrong"},
    kUndecided{VerifyVerdict::inconclusive, 0, "dead weights"}, kOff{};

Json json_of(ScriptedSubject& subject, ManualProbe& probe, const Agreement& agreement, int64_t repetitions = 2,
             const CaseVerification& verification = kPassed) {
  Case cell;
  cell.id = "m/p";
  cell.sampler.max_tokens = 3;
  const GenerationRequest request = request_of_rows(1);
  RepetitionPolicy policy;
  policy.repetitions = repetitions;
  const CaseMeasurement m = measure_repetitions(subject, request, policy, probe);
  const ModelDims dims{64, 97, 2, 4, 2, 64, {}};
  const GptConfig config(dims, architecture_of("head", dims));
  const Prompt prompt{"p", PromptKind::tokens, "", request.prompt};
  const ElementBytes bytes{4, 2, 4};
  const Peaks peaks{1,
                    "float32",
                    {{{kOutOfCache, 1 << 30}, true, {{{"plain sum", 1e15}}, 1}}},
                    {{square_shape(), {{{"LibTorch", 1e15}}, 1}}}};
  const CaseUse use = case_use({config, bytes, true, 10}, m, Fact<Peaks>::known(peaks), Fact<int64_t>::known(1 << 20));
  return case_json(
      {cell, "m", prompt, request, &config, nullptr, subject.info(), m, agreement, verification, bytes, &use});
}

}  // namespace

TEST_CASE("a case's record holds the numbers under their names") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  Agreement agreement;
  agreement.verdict = Verdict::agree;
  agreement.rows = agreement.identical_rows = 1;
  agreement.logits = LogitNumbers{3, 1e-6, 1e-9, 2e-9, 1, 0.5};
  const Json cell = json_of(subject, probe, agreement, 6);
  CHECK(schema_errors("ok_case", cell) == std::vector<std::string>{});
  CHECK(cell["shape"] == Json({{"P", 10}, {"N", 3}, {"depth", 0}, {"rows", 1}, {"label", "pp10 tg3"}}));
  CHECK(cell["prompt"]["text"].is_null());
  CHECK(cell["settings"]["run"]["backend"] == "script");
  CHECK(cell["settings"]["run"]["repetitions"] == 6);
  CHECK(cell["settings"]["sampler"]["max_tokens"] == 3);
  CHECK(cell["settings"]["sampler"]["top_k"].is_null());
  const Json& engine = cell["paths"]["engine"];
  const float logits[] = {1, 1, 1, 1};
  CHECK(engine["samples"][1] == Json({{"repetition", 1},
                                      {"order", 0},
                                      {"e2e_ns", 821},
                                      {"ttft_ns", 607},
                                      {"prefill_ns", 600},
                                      {"sampling_ns", 21},
                                      {"itl_ns", {107, 107}},
                                      {"cpu_ns", 3196},
                                      {"context_switches", engine["samples"][1]["context_switches"]},
                                      {"steal_ns", nullptr},
                                      {"first_logits", xxh128_of(logits, sizeof logits)},
                                      {"own_prefill_ns", nullptr},
                                      {"own_decode_ns", nullptr}}));
  CHECK(engine["metrics"]["e2e_ns"] == Json({{"median", 821}, {"min", 821}, {"max", 821}, {"n", 6}}));
  CHECK(engine["metrics"]["itl_ns"]["p50"] == 107);  // 12 gaps carry a median …
  CHECK(engine["metrics"]["itl_ns"]["p90"].is_null());
  CHECK(engine["metrics"]["itl_ns"]["p90_reason"] == "12 gaps, 64 are needed");
  CHECK(engine["peak_rss_bytes"] == 1050);
  CHECK(engine["rows"][0]["tokens"] == Json({4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 1, 2, 3}));
  CHECK(engine["rows"][0]["text_reason"] == "the checkpoint has no tokenizer");
  CHECK(cell["agreement"]["logits"]["error_ratio"] == 0.5);
  CHECK(cell["agreement"]["tokens"]["first_divergence"].is_null());
  CHECK(cell["speedup"]["e2e"]["ratio"].get<double>() == Approx(3221.0 / 821));
  CHECK(cell["speedup"]["e2e"]["low"].get<double>() == Approx(3221.0 / 821));
  CHECK(cell["speedup"]["e2e"]["confidence"] == 0.95);
  CHECK(cell["speedup"]["verified"] == true);
  CHECK(cell["work"]["work_ratio"] == 33.0 / 12);
}

TEST_CASE("a path's record says what it read and multiplied, and what share of the machine's peaks that is") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  Agreement agreement;
  agreement.rows = agreement.identical_rows = 1;
  const Json cell = json_of(subject, probe, agreement);
  const Json& decode = cell["paths"]["engine"]["utilization"]["decode"];
  CHECK(decode["weight_bytes_read"] == cell["work"]["weight_bytes_read"]);
  CHECK(decode["kv_bytes_read"].get<double>() > 0);
  CHECK(decode["out_of_cache"] == false);
  CHECK(decode["peak_bytes_per_s"] == 1e15);
  CHECK(decode["mbu"]["median"].get<double>() == Approx(decode["bytes_per_s"]["median"].get<double>() / 1e15));
  const Json& prefill = cell["paths"]["naive"]["utilization"]["prefill"];
  CHECK(prefill["mfu"]["median"].get<double>() == Approx(prefill["flops"].get<double>() / 1000e-9 / 1e15));
  CHECK(cell["work"]["weight_bytes_stored"] > cell["work"]["weight_bytes_read"]);
}

TEST_CASE("a subject whose weights are not known here has no shares, and says why") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  RepetitionPolicy policy;
  policy.repetitions = 1;
  const GenerationRequest request = request_of_rows(1);
  const CaseMeasurement m = measure_repetitions(subject, request, policy, probe);
  const Case cell_of;
  const Prompt prompt{"p", PromptKind::tokens, "", request.prompt};
  const Agreement agreement;
  const Json cell = case_json({cell_of, "m", prompt, request, nullptr, nullptr, subject.info(), m, agreement, kPassed});
  CHECK(cell["paths"]["engine"]["utilization"].is_null());
  CHECK(cell["paths"]["engine"]["utilization_reason"] == "the subject's weights are not known here");
  CHECK(cell["work"]["weight_bytes_stored"].is_null());
}

TEST_CASE("a failed verification withholds the ratios of outputs that agree, and the record says why") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  Agreement agreement;
  agreement.verdict = Verdict::agree;
  agreement.rows = agreement.identical_rows = 1;
  const Json cell = json_of(subject, probe, agreement, 2, kFailed);
  CHECK(schema_errors("ok_case", cell) == std::vector<std::string>{});
  CHECK(cell["verification"] == Json({{"verdict", "FAIL"}, {"index", 2}}));
  CHECK(cell["validity"] ==
        Json({{"verdict", "INVALID"}, {"reasons", Json::array({"verification failed: cache wrong"})}}));
  CHECK(cell["speedup"]["withheld"] == "verification failed: cache wrong");
  CHECK(cell["speedup"]["e2e"].is_null());
  CHECK(cell["speedup"]["verified"] == false);
}

TEST_CASE("a speed-up is verified only where the outputs agree and verification passed") {
  struct Row {
    Verdict agreement;
    CaseVerification verification;
    const char* written;
    bool verified;
  };
  const auto row = GENERATE(values<Row>({{Verdict::agree, kPassed, "PASS", true},
                                         {Verdict::tie, kPassed, "PASS", true},
                                         {Verdict::unverified, kPassed, "PASS", false},
                                         {Verdict::agree, kUndecided, "INCONCLUSIVE", false},
                                         {Verdict::agree, kOff, "OFF", false}}));
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  Agreement agreement;
  agreement.verdict = row.agreement;
  agreement.rows = agreement.identical_rows = 1;
  const Json cell = json_of(subject, probe, agreement, 2, row.verification);
  CHECK(schema_errors("ok_case", cell) == std::vector<std::string>{});
  CHECK(cell["verification"]["verdict"] == row.written);
  CHECK(cell["verification"]["index"].is_null() == !row.verification.verdict.has_value());
  CHECK(cell["validity"]["verdict"] == "VALID");
  CHECK(cell["speedup"]["withheld"].is_null());
  CHECK(cell["speedup"]["verified"] == row.verified);
}

TEST_CASE("a disagreement's record shows the divergence and withholds every ratio") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  Agreement agreement;
  agreement.verdict = Verdict::disagree;
  agreement.explanation = "why";
  agreement.rows = 1;
  agreement.flips = 1;
  Flip flip;
  flip.step = 2;
  flip.naive_token = 3;
  agreement.first_divergence = flip;  // the engine had ended: no token, no margin
  const Json cell = json_of(subject, probe, agreement);
  CHECK(schema_errors("ok_case", cell) == std::vector<std::string>{});
  CHECK(cell["agreement"]["verdict"] == "DISAGREE");
  CHECK(cell["agreement"]["logits"].is_null());
  const Json& divergence = cell["agreement"]["tokens"]["first_divergence"];
  CHECK(divergence["naive_token"] == 3);
  CHECK(divergence["engine_token"].is_null());
  CHECK(divergence["margin"].is_null());
  CHECK(cell["speedup"]["withheld"] == "the outputs disagree: why");
  CHECK(cell["validity"] == Json({{"verdict", "INVALID"}, {"reasons", Json::array({"the outputs disagree: why"})}}));
  for (const char* phase : {"e2e", "prefill", "decode"}) CHECK(cell["speedup"][phase].is_null());
}

TEST_CASE("an invalid measurement's record says why") {
  ManualProbe probe;
  probe.refusal = "not here";
  ScriptedSubject subject = standard_subject(probe);
  subject.naive.extra_forwards = 1;
  Agreement agreement;
  agreement.rows = agreement.identical_rows = 1;
  const Json cell = json_of(subject, probe, agreement);
  CHECK(schema_errors("ok_case", cell) == std::vector<std::string>{});
  CHECK(cell["validity"]["verdict"] == "INVALID");
  CHECK(cell["validity"]["reasons"].size() == 1);
  CHECK(cell["paths"]["naive"]["peak_rss_bytes"].is_null());
  CHECK(cell["paths"]["naive"]["peak_rss_bytes_reason"] == "not here");
}

TEST_CASE("a disagreement or a failed verification counts as 5, an invalid measurement as 6, all else as fine") {
  CaseMeasurement valid, invalid;
  invalid.invalid = {"why"};
  const auto code = [](const CaseMeasurement& m, Verdict verdict, const CaseVerification& verification = kPassed) {
    Agreement agreement;
    agreement.verdict = verdict;
    return code_of_case(m, agreement, verification);
  };
  CHECK(code(valid, Verdict::agree) == ExitCode::ok);
  CHECK(code(valid, Verdict::tie) == ExitCode::ok);
  CHECK(code(valid, Verdict::unverified, kOff) == ExitCode::ok);
  CHECK(code(valid, Verdict::agree, kUndecided) == ExitCode::ok);
  CHECK(code(valid, Verdict::agree, kFailed) == ExitCode::disagree);
  CHECK(code(valid, Verdict::disagree) == ExitCode::disagree);
  CHECK(code(invalid, Verdict::agree) == ExitCode::failed);
  CHECK(code(invalid, Verdict::agree, kFailed) == ExitCode::disagree);
  CHECK(code(invalid, Verdict::disagree) == ExitCode::disagree);
}

TEST_CASE("what was thrown becomes kind, message, place and exit code") {
  const auto json = [](const auto& error) { return error_json(std::make_exception_ptr(error)); };
  CHECK(json(ConfigError("a.yaml:1:2", "is wrong")) ==
        Json({{"kind", "config"}, {"message", "is wrong"}, {"place", "a.yaml:1:2"}, {"exit_code", 2}}));
  CHECK(json(CheckpointError("m.pt", "is cut off"))["exit_code"] == 6);
  CHECK(json(std::bad_alloc())["kind"] == "capacity");
  CHECK(json(std::bad_alloc())["exit_code"] == 6);
  CHECK(json(std::runtime_error("first line\nframe 1\nframe 2")) ==
        Json({{"kind", "bug"}, {"message", "first line"}, {"place", ""}, {"exit_code", 70}}));
  const Json failed = failed_case_json(Case{}, "m", json(ConfigError("p", "m")));
  CHECK(schema_errors("failed_case", failed) == std::vector<std::string>{});
}
