// A checkpoint against the oracle: what passes, and what each wrong constant looks like.
#include "harness/verify/vectors/model_check.h"

#include <ATen/ATen.h>

#include "engine/model/model.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

constexpr double kAmple = 1e12;  // floating-point operations: no window is left out

/// The naive path in float64, of this checkpoint.
struct Exact {
  explicit Exact(const Checkpoint& checkpoint)
      : model(make_model(checkpoint, {.backend = "auto", .dtype = "float64", .device = "cpu"})),
        subject(make_in_process_subject(*model, nullptr)) {}
  std::unique_ptr<Model> model;
  std::unique_ptr<Subject> subject;
};

ModelReport check(const Checkpoint& checkpoint, const ArchitectureOverrides& overrides = {}, double budget = kAmple) {
  const Exact exact(checkpoint);
  return check_model(checkpoint, overrides, *exact.subject, 7, budget);
}

/// What is found when the naive path runs another architecture than the checkpoint's.
ModelReport check_misread(const std::string& fields, const ArchitectureOverrides& right, ArchitectureOverrides wrong) {
  for (const auto& [key, value] : right) wrong.insert({key, value});
  const Checkpoint checkpoint = small_checkpoint(fields, right);
  const Exact exact(small_checkpoint(fields, wrong));
  return check_model(checkpoint, right, *exact.subject, 7, kAmple);
}

std::vector<std::string> messages_of(const ModelReport& report) {
  std::vector<std::string> messages;
  for (const Finding& finding : report.findings) messages.push_back(finding.message);
  return messages;
}

using Messages = std::vector<std::string>;

}  // namespace

TEST_CASE("every generation's checkpoint passes, across all its windows", "[model_check][golden]") {
  const std::string name = GENERATE(from_range(golden_generations()));
  const auto overrides = golden_overrides(read_json(golden_path(name) + "/golden.json"));
  const ModelReport report = check(golden_checkpoint(name), overrides);
  CAPTURE(name);
  CHECK(messages_of(report) == Messages{});
  CHECK(report.not_covered.empty());
  CHECK(report.constants.failures == 0);
  CHECK(report.constants.checks > 15);
  CHECK(report.logits.failures == 0);
  CHECK(report.tokens == (name == "2025-10" || name == "2025-12" || name == "2026-01" ? 8 : 514));
  CHECK(report.worst <= 1e-12);  // worst seen 1.2e-14, where the gate is 6.4e-10
}

TEST_CASE("any shape, head size and table passes at float64's own gate", "[model_check]") {
  const auto fields = GENERATE(values<std::string>(
      {"n_layer=1,window_pattern=S", "n_layer=5,window_pattern=ssl,n_kv_head=1", "n_kv_head=4,window_pattern=L",
       "generation=2026-02,n_layer=3,sequence_len=63", "generation=2025-10,n_layer=3", "generation=2026-01",
       "n_embd=192,n_head=4",                                                 // head size 48
       "n_embd=160,n_head=2,n_kv_head=1", "n_embd=192,n_head=1,n_kv_head=1",  // 80 and 192: pow errs
       "generation=2026-01,n_embd=384,n_head=4", "generation=2026-01,n_embd=256,n_head=1,n_kv_head=1",  // 96, 256
       "generation=2025-10,n_embd=192,n_head=1,n_kv_head=1,sequence_len=512"}));
  const std::string dtype = GENERATE("float32", "bfloat16", "float16", "compute");
  const ArchitectureOverrides overrides = {{"rope_table_dtype", dtype}};
  const ModelReport report = check(small_checkpoint(fields, overrides), overrides);
  CAPTURE(fields, dtype);
  CHECK(messages_of(report) == Messages{});
  CHECK(report.worst <= 1e-12);  // worst seen 2.4e-14
  CHECK(report.stages.failures == 0);
  CHECK(report.stages.worst_ratio <= 1e-2);  // worst seen 2.9e-5
}

TEST_CASE("an MLP of any width and logits without a softcap pass at float64's own gate", "[model_check][huggingface]") {
  const Checkpoint checkpoint = load_checkpoint({source_path("tests/golden/huggingface/inner-50"), {}, {}, {}});
  const ModelReport report = check(checkpoint);
  CHECK(messages_of(report) == Messages{});
  CHECK(report.worst <= 1e-12);
  CHECK(report.stages.failures == 0);
}

TEST_CASE("a naive path with one wrong constant is found by its logits and at the stage it touches first",
          "[model_check]") {
  // What is misread, the first position whose logits show it, and the first stage that does, with its layer.
  const auto [fields, wrong, first, stage, layer] =
      GENERATE(table<std::string, ArchitectureOverrides, int64_t, std::string, int64_t>({
          {"", {{"softcap", "15.01"}}, 0, "", kNowhere},  // behind every stage
          {"", {{"norm_eps", "1e-6"}}, 0, "embedding", kNowhere},
          {"", {{"norm_eps", "1.3e-7"}}, 0, "embedding", kNowhere},
          {"", {{"ve_gate_scale", "2.999"}}, 0, "value", 1},
          {"", {{"qk_scale", "1.15"}}, 1, "key", 0},
          {"", {{"qk_scale", "1.2001"}}, 1, "key", 0},
          {"", {{"rope_base", "10000"}}, 1, "key", 0},
          {"", {{"rope_base", "100001"}}, 1, "key", 0},
          {"", {{"rope_table_dtype", "bfloat16"}}, 1, "key", 0},
          {"generation=2025-10", {{"rope_table_dtype", "float32"}}, 1, "key", 0},
          {"", {{"short_window", "4"}}, 5, "attention", 0},
          {"", {{"short_window", "6"}}, 6, "attention", 0},
          {"", {{"window_pattern", "SL"}}, 6, "attention", 1},
          {"", {{"window_pattern", "none"}}, 6, "attention", 0},
          {"n_layer=1,sequence_len=64", {{"window_pattern", "none"}}, 65, "attention", 0},
      }));
  const ModelReport report = check_misread(fields, {{"short_window", "5"}}, wrong);
  CAPTURE(fields, wrong.begin()->first, wrong.begin()->second, report.worst);
  CHECK(report.constants.failures == 0);
  CHECK(report.logits.failures > 0);
  CHECK((report.stages.failures > 0) == !stage.empty());
  REQUIRE(report.findings.size() == (stage.empty() ? 1 : 2));
  const Finding &at_stage = report.findings.front(), &of_logits = report.findings.back();
  if (!stage.empty()) CHECK(at_stage.place.stage == stage);
  if (!stage.empty()) CHECK(at_stage.place.layer == layer);
  CHECK(of_logits.level == Level::logits);
  CHECK(of_logits.place.position == first);
  CHECK(of_logits.error > 10 * of_logits.allowed);
}

TEST_CASE("the first stage that differs is named with layer, position and head", "[model_check]") {
  const ModelReport report = check_misread("", {{"short_window", "5"}}, {{"ve_gate_scale", "2"}});
  REQUIRE(report.findings.size() == 2);
  const Finding& finding = report.findings[0];
  CHECK(finding.level == Level::keys_values);
  CHECK(finding.place.tensor == "V");
  CHECK(finding.place.position == 0);
  CHECK(finding.place.head == 0);
  CHECK(finding.message.find("the value of layer 1: expected the oracle's within ") == 0);
  CHECK_THAT(finding.message, Catch::Matchers::Contains(" away, first at position 0 in head 0"));
  CHECK(finding.evidence == "every stage before it agrees");
}

TEST_CASE("findings on logits say how far, from where on, and what that position tells", "[model_check]") {
  const auto text_of = [](const ArchitectureOverrides& wrong) {
    const ModelReport report = check_misread("", {{"short_window", "5"}}, wrong);
    REQUIRE_FALSE(report.findings.empty());
    const Finding& finding = report.findings.back();
    CHECK(finding.place.operation == "full recompute of 66 tokens in float64");
    CHECK(finding.message.find("expected the oracle's logits within 9.5e-10, found them ") == 0);
    return finding.evidence;
  };
  CHECK_THAT(text_of({{"softcap", "14"}}),
             Catch::Matchers::Contains("the first is position 0; position 0 sees itself alone: no window, RoPE or "
                                       "qk_scale shows there"));
  CHECK_THAT(text_of({{"short_window", "6"}}),
             Catch::Matchers::Contains("the first is position 6; 6 is the first that a window of 5 keys keeps from "
                                       "position 0"));
  CHECK_THAT(text_of({{"short_window", "4"}}),
             Catch::Matchers::Contains("the first is position 5; 5 is the last that a window of 5 keys lets see "
                                       "position 0"));
  CHECK_THAT(text_of({{"qk_scale", "1"}}),
             Catch::Matchers::Contains("the first is position 1; position 1 is the first that has another to look at"));
}

TEST_CASE("an architecture that the oracle does not know is named, constant by constant", "[model_check]") {
  const Checkpoint right = small_checkpoint("", {{"short_window", "5"}});
  const auto messages = [&](const std::function<void(Architecture&)>& change) {
    Checkpoint wrong = right;
    change(wrong.architecture);
    const ModelReport report = check(wrong, {{"short_window", "5"}});
    CHECK(report.constants.failures > 0);
    Messages of_constants;
    for (const Finding& finding : report.findings)
      if (finding.level == Level::invariants && finding.place.stage != "rope") of_constants.push_back(finding.message);
    return of_constants;
  };
  CHECK(messages([](Architecture& a) { a.softcap = 20; }) == Messages{"softcap: expected 15, the oracle's, found 20"});
  CHECK(messages([](Architecture& a) { a.qk_scale = 1.15; }) ==
        Messages{"qk_scale: expected 1.2, the oracle's, found 1.15"});
  CHECK(messages([](Architecture& a) { a.norm_eps = 1e-6; }) ==
        Messages{"norm_eps: expected 1.1920928955078125e-07, the oracle's, found 1e-06"});
  CHECK(messages([](Architecture& a) { a.rope_table_dtype = "bfloat16"; }) ==
        Messages{"rope_table_dtype: expected float64, the oracle's, found bfloat16"});
  CHECK(messages([](Architecture& a) { a.ve_gate_scale = 2; }) ==
        Messages{"ve_gate_scale: expected 3, the oracle's, found 2"});
  CHECK(messages([](Architecture& a) { a.has_backout = false; }) ==
        Messages{"backout: expected true, the oracle's, found false"});
  CHECK(messages([](Architecture& a) { a.has_smear = false; }) ==
        Messages{"smear: expected true, the oracle's, found false"});
  CHECK(messages([](Architecture& a) { a.window_pattern = "SSLS"; }) ==
        Messages{"window of layer 2: expected 5, the oracle's, found 64"});
  CHECK(messages([](Architecture& a) { a.window_pattern = ""; }) ==
        Messages{"window of layer 0: expected 5, the oracle's, found unlimited",
                 "window of layer 1: expected 5, the oracle's, found unlimited",
                 "window of layer 2: expected 5, the oracle's, found unlimited",
                 "window of layer 3: expected 64, the oracle's, found unlimited"});
}

TEST_CASE("every generation resolves to the oracle's constants, whatever its pattern, depth and length",
          "[model_check]") {
  LevelTally tally;
  std::vector<Finding> findings;
  check_architectures(&tally, &findings);
  CHECK(findings.empty());
  CHECK(tally.failures == 0);
  CHECK(tally.checks > 10000);
}

TEST_CASE("RoPE's tables are held against the oracle's by the last bit", "[model_check]") {
  Checkpoint wrong = small_checkpoint("", {{"short_window", "5"}});
  wrong.architecture.rope_base = 100001;  // a hundred thousandth off
  const ModelReport report = check(wrong, {{"short_window", "5"}});
  CHECK(report.constants.failures == 2);
  CHECK(report.logits.failures > 0);
  REQUIRE(report.findings.size() == 4);
  CHECK(report.findings[0].message == "rope_base: expected 100000, the oracle's, found 100001");
  CHECK(report.findings[1].place.stage == "rope");
  CHECK(report.findings[1].place.position == 4);
  CHECK(report.findings[1].message ==
        "the cosine of channel 1 at position 4: expected 0.582861662 to 0.582863092, found 0.582863331");
  CHECK(report.findings[2].place.stage == "key");
  CHECK(report.findings[3].level == Level::logits);
}

TEST_CASE("what a budget leaves out is said, with its price", "[model_check]") {
  const Checkpoint checkpoint = golden_checkpoint("head");  // windows of 128 and 512 keys
  const ModelReport middle = check(checkpoint, {}, 1e8);
  CHECK(middle.tokens == 130);
  CHECK(middle.positions == 8 + 3);
  CHECK(middle.not_covered ==
        Messages{"the oracle's logits past the window of 512 keys: 514 tokens would take 2.6e+08 floating-point "
                 "operations, 1.0e+08 are allowed"});
  const ModelReport least = check(checkpoint, {}, 0);
  CHECK(least.tokens == 2);
  CHECK(least.not_covered.size() == 2);
  CHECK(least.logits.checks == 2);
  CHECK(least.findings.empty());
}

namespace {

/// As a freshly initialised nanochat: no layer adds anything.
Checkpoint without_projections(const ArchitectureOverrides& overrides) {
  Checkpoint checkpoint = small_checkpoint("", overrides);
  for (auto& [name, tensor] : checkpoint.tensors)
    if (name.find("c_proj") != std::string::npos) tensor = at::zeros_like(tensor);
  return checkpoint;
}

/// Shows logits only, as a foreign engine may.
class LogitsOnly : public Subject {
 public:
  explicit LogitsOnly(Subject& subject) : subject_(subject) {}
  SubjectInfo info() const override { return subject_.info(); }
  LogitRows uncached_logits(const std::vector<TokenId>& tokens, int64_t first, StageSink*) override {
    return subject_.uncached_logits(tokens, first);
  }
  std::unique_ptr<SubjectCache> new_cache(int64_t batch, int64_t capacity) override {
    return subject_.new_cache(batch, capacity);
  }
  GenerationResult generate(Path path, const GenerationRequest& request, GenerationObserver* observer) override {
    return subject_.generate(path, request, observer);
  }

 private:
  Subject& subject_;
};

}  // namespace

TEST_CASE("a freshly initialised model hides attention from its logits, not from its stages", "[model_check]") {
  const Exact wrong(without_projections({{"short_window", "5"}, {"qk_scale", "1.15"}}));
  const Checkpoint right = without_projections({{"short_window", "5"}});
  const ModelReport report = check_model(right, {{"short_window", "5"}}, *wrong.subject, 7, kAmple);
  CHECK(report.not_covered.empty());
  CHECK(report.logits.failures == 0);
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].place.stage == "key");
}

TEST_CASE("blind spots are named where an engine shows logits only", "[model_check]") {
  const std::string stages = "keys, values and the residual stream of every layer: this engine does not show them";
  const auto not_covered = [](const Checkpoint& checkpoint) {
    const Exact exact(checkpoint);
    LogitsOnly logits_only(*exact.subject);
    const ModelReport report = check_model(checkpoint, {{"short_window", "5"}}, logits_only, 7, kAmple);
    CHECK(report.findings.empty());
    CHECK(report.stages.checks == 0);
    return report.not_covered;
  };
  CHECK(not_covered(small_checkpoint()) == Messages{stages});
  CHECK(not_covered(without_projections({{"short_window", "5"}})) ==
        Messages{stages, "attention: attn.c_proj is zero in every layer, so that logits do not depend on it",
                 "the MLP: mlp.c_proj is zero in every layer, so that logits do not depend on it"});
}

TEST_CASE("a naive path that is not in float64 is refused", "[model_check]") {
  const Checkpoint checkpoint = small_checkpoint();
  const auto model = make_model(checkpoint, {.backend = "auto", .dtype = "float32", .device = "cpu"});
  const auto subject = make_in_process_subject(*model, nullptr);
  CHECK_THROWS_WITH(check_model(checkpoint, {}, *subject, 7, kAmple),
                    "exact: expected a subject in float64, found float32");
}
