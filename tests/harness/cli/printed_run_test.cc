// A run by a clock that a test moves, on an engine that follows a script: what is printed is known to the character.
#include <stdexcept>

#include "harness/measure/group_engine.h"
#include "harness/measure/run.h"
#include "harness/report/table.h"
#include "tests/harness/config/config_file.h"
#include "tests/harness/measure/fake_peaks.h"
#include "tests/harness/measure/scripted.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

constexpr const char* kConfig = R"(checkpoints: [{name: m, synthetic: 'd1,vocab_size=97,n_embd=32,n_head=2,n_kv_head=1,sequence_len=32,seed=3'}]
prompts: [{name: p, tokens: [1, 2, 3, 4]}]
sampler: {max_tokens: 5, temperature: 0}
run: {verify: off, threads: 1, dtype: float32, repetitions: 6}
)";


/// A group whose every engine is the one that is scripted.
class ScriptedGroup final : public GroupEngine {
 public:
  ScriptedGroup(ScriptedSubject& subject, const Checkpoint& checkpoint)
      : subject_(subject), config_(checkpoint.dims, checkpoint.architecture) {}

  Subject& subject(LogitsAt) override { return subject_; }
  const GptConfig& config() const override { return config_; }
  bool knows_costs() const override { return true; }
  bool has_tools() const override { return false; }
  VerifyTarget target() override { throw std::logic_error("verify is off"); }
  Subject& reference() override { throw std::logic_error("verify is off"); }

 private:
  ScriptedSubject& subject_;
  GptConfig config_;
};

/// Where the machine's own facts would stand.
/// on_open  told how many engines were opened before this one
RunHooks hooks_of(ScriptedSubject& subject, ManualProbe& probe, std::function<void(int)> on_open) {
  RunHooks hooks;
  hooks.probe = &probe;
  hooks.open_engine = [&subject, on_open, opened = 0](const CheckpointSession& session, const RunSpec&) mutable {
    if (on_open) on_open(opened++);
    return std::make_unique<ScriptedGroup>(subject, *session.checkpoint);
  };
  hooks.machine = MachineFacts{};
  hooks.machine->cpu_model = Fact<std::string>::known("A CPU");
  hooks.machine->cores = 4;
  hooks.machine->l3_bytes = Fact<int64_t>::known(8 << 20);
  hooks.machine->os = "An OS";
  hooks.load = [] {
    return LoadSnapshot{Fact<std::vector<double>>::unknown("a test"), Fact<int64_t>::unknown("a test"),
                        Fact<int64_t>::unknown("a test")};
  };
  hooks.measure_peaks = [](const PeakRequest& request) { return peaks_of(request, 1e9, 1e9); };
  return hooks;
}

/// The record with what a build and a moment put into it taken out.
Json run_of(ScriptedSubject& subject, ManualProbe& probe, std::function<void(int)> on_open = {}) {
  Json record =
      run_config(load_text(kConfig), {"kvproof", "run", "x.yaml"}, nullptr, hooks_of(subject, probe, std::move(on_open)))
          .record;
  record["started"] = "2026-01-02T03:04:05Z";
  record["config"]["file"] = "x.yaml";
  record["kvproof"].update(Json{{"version", "1.2.3"}, {"commit", "0123456789abcdef"}, {"dirty", false},
                                {"build_type", "Release"}, {"compiler", "GNU 1"}, {"torch_version", "2.0"},
                                {"sanitizers", ""}});
  for (Json& one : record["cases"]) one["phases"]["load_ns"] = 12'000'000;  // of a real, tiny checkpoint
  Json warnings = Json::array();
  for (const Json& warning : record["warnings"])  // but for the build's own
    if (warning.get<std::string>().find("CMAKE_BUILD_TYPE") == std::string::npos &&
        warning.get<std::string>().find("sanitizers") == std::string::npos)
      warnings.push_back(warning);
  record["warnings"] = warnings;
  return record;
}

}  // namespace

TEST_CASE("a run's table is what its clock said, to the character", "[printed]") {
  ManualProbe probe;
  ScriptedSubject subject(probe);
  // ms: naive 8 and steps of 10, the engine 4 and steps of 1; choosing a token 0.5. The cold calls take longer.
  subject.naive = {{{5, 6, 7, 8, 9}}, {}, 8'000'000, 9'500'000, 500'000, 0, 0};
  subject.engine = {{{5, 6, 7, 8, 9}}, {}, 4'000'000, 500'000, 500'000, 0, 0};
  subject.before = [&](Path, int64_t call) {
    subject.engine.prefill_ns = call == 0 ? 90'000'000 : 4'000'000;
    subject.naive.prefill_ns = call == 1 ? 50'000'000 : 8'000'000 + 100'000 * call;  // slower from call to call
  };
  const std::string table = render_table(run_of(subject, probe), false, 100);
  CHECK(table == R"(kvproof run x.yaml                                                              2026-01-02T03:04:05Z

  m        synthetic d1,vocab_size=97,n_embd=32,n_head=2,n_kv_head=1,sequence_len=32,seed=3,
           generation head, 19.1 k parameters
  run      script, float32, cpu, 1 thread; naive computes logits of all positions, as nanochat does
  machine  A CPU, 4 cores, L3 8 MiB; An OS
  peaks    1 thread, float32: reads in cache 1.0 GB/s, out of it 1.0 GB/s; multiplies at 1.000
           GFLOP/s
  kvproof  1.2.3, commit 0123456, Release, GNU 1, LibTorch 2.0

Is it right?
naive computes the whole text again for every token; engine keeps keys and values in a cache and
computes only the new token.

              case  shape         tokens  equal rows  logits apart
  UNVERIFIED  m/p   pp4 tg5            5      1 of 1             –
              the logits were not compared: run.verify is off; 1 of 1 rows have equal tokens

  pp6 tg64 x4: 6 prompt tokens, 64 generated, in 4 rows. tokens: those kept, over all rows. logits
  apart: the largest difference.

How fast is it?
Medians. speed-up: naive / engine, in brackets its 95 % interval (6 repetitions or more). positions:
pushed through the model. FLOPs allow: the speed-up if arithmetic were all that took time. (%):
share of what this machine reaches at best, multiplying in prefill (mfu), reading weights, keys and
values in decode (mbu).

                         whole run  first token       prefill tok/s        decode tok/s   positions

  m/p  pp4 tg5, 6 repetitions, cache 4 KiB, FLOPs allow 4.06x
    naive                 49.65 ms     9.650 ms         437.3 (1 %)         100.0 (1 %)          30
    engine                8.500 ms     4.500 ms          1000 (2 %)         1000 (12 %)           8
    speed-up   5.84x? [5.78, 5.91]              2.29x? [2.15, 2.42] 10.0x? [10.0, 10.0]       3.75x
    before      load 12.00 ms, tokenize 0 ms; first call naive 90.50 ms, engine 94.50 ms; 2 rounds
                of warm-up
    ? not verified: nobody knows whether the engine's output is right

  Measuring itself takes 0 % of a decode step at most.

What came out?

  m/p  greedy, does not stop early
    prompt  ids 1 2 3 4
    both    ids 5 6 7 8 9

1 case: 1 UNVERIFIED. Exit code 0: fine.
)");
}

TEST_CASE("a fresh engine that gives other logits makes the case INVALID, and the table says why", "[printed]") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  const Json record = run_of(subject, probe, [&](int before) { subject.engine.first_logit = before == 0 ? 1 : 2; });
  const Json& one = record["cases"][0];
  CHECK(one["equals_fresh_engine"] == false);
  CHECK(record["exit_code"] == 6);
  CHECK_THAT(render_table(record, false, 100), Catch::Matchers::Contains(R"(
    INVALID: a fresh engine's first logits are not, to the bit, those of the first call: something
    was left over from call to call, or the engine is not deterministic
)"));
}

TEST_CASE("a fresh engine that cannot be had leaves the case as it is, with a warning", "[printed]") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  const Json record = run_of(subject, probe, [&](int before) {
    if (before > 0) throw std::bad_alloc();
  });
  const Json& one = record["cases"][0];
  CHECK(one["equals_fresh_engine"].is_null());
  CHECK(one["validity"]["verdict"] == "VALID");
  CHECK(record["exit_code"] == 0);
  CHECK(record["warnings"] ==
        Json({"m/p: generated 3 of 5 tokens: rows ended early; set sampler.stop: false where the length matters",
              "m/p: its repetitions were not held against a fresh engine, which failed: memory ran out; take a smaller "
              "model, fewer rows or fewer tokens"}));
}
