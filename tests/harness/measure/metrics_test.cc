#include "harness/measure/metrics.h"

#include <cmath>

#include "engine/model/cost_model.h"
#include "tests/harness/measure/scripted.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

const CaseVerification kVerified{VerifyVerdict::pass, 0, ""};

CaseMeasurement measured(ScriptedSubject& subject, ManualProbe& probe, int64_t rows, int64_t repetitions) {
  RepetitionPolicy policy;
  policy.repetitions = repetitions;
  return measure_repetitions(subject, request_of_rows(rows), policy, probe);
}

Agreement agreement_of(Verdict verdict) {
  Agreement agreement;
  agreement.verdict = verdict;
  agreement.explanation = "because";
  return agreement;
}

GptConfig tiny_config() {
  ModelDims dims{64, 97, 2, 4, 2, 64, {}};
  return {dims, architecture_of("head", dims)};
}

}  // namespace

TEST_CASE("a path's metrics are their definitions, to the digit") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  const CaseMeasurement m = measured(subject, probe, 1, 2);
  const PathMetrics engine = path_metrics(m.engine);
  CHECK(engine.e2e_ns->median == 821);
  CHECK(engine.ttft_ns->median == 607);
  CHECK(engine.prefill_ns->median == 600);
  CHECK(engine.tpot_ns->median == 107);  // (821 - 607) / 2
  CHECK(engine.prefill_tok_per_s->median == 1e9 * 10 / 600);
  CHECK(engine.decode_tok_per_s->median == 1e9 * 2 / 214);
  CHECK(engine.decode_tok_per_s_without_sampling->median == 1e9 * 2 / 200);
  CHECK(engine.output_tok_per_s->median == 1e9 * 3 / 821);
  CHECK(engine.itl_ns == std::vector<double>{107, 107, 107, 107});
  CHECK(engine.e2e_ns->n == 2);
  const PathMetrics naive = path_metrics(m.naive);
  CHECK(naive.e2e_ns->median == 1007 + 2 * 1107);
  CHECK(naive.decode_tok_per_s->median == 1e9 * 2 / 2214);
}

TEST_CASE("rates count every row's tokens, rows that ended early what they made, a shared prompt once") {
  ManualProbe probe;
  ScriptedSubject subject(probe);
  subject.naive = {{{1}, {1, 2, 3}, {1, 2}}, {}, 1000, 1100, 0, 0, 0};
  subject.engine = {{{1}, {1, 2, 3}, {1, 2}}, {}, 600, 100, 0, 0, 0};
  const CaseMeasurement m = measured(subject, probe, 3, 1);
  const PathMetrics engine = path_metrics(m.engine), naive = path_metrics(m.naive);
  CHECK(engine.prefill_tok_per_s->median == 1e9 * 10 / 600);
  CHECK(naive.prefill_tok_per_s->median == 1e9 * 30 / 1000);  // naive really pushes the prompt three times
  CHECK(engine.decode_tok_per_s->median == 1e9 * 3 / 200);    // six tokens, three of them after a prefill
  CHECK(engine.output_tok_per_s->median == 1e9 * 6 / 800);
  CHECK(engine.tpot_ns->median == 100);  // per step of the longest row
}

TEST_CASE("medians and extremes are those of the repetitions, warm-up and cold calls left out") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  // engine calls: 0 cold, 3 and 4 warm-up, then the measured ones.
  subject.before = [&](Path, int64_t call) { subject.engine.prefill_ns = call < 6 ? 600 : 600 + call; };
  const CaseMeasurement m = measured(subject, probe, 1, 3);  // engine at calls 7, 8, 11
  const PathMetrics engine = path_metrics(m.engine);
  CHECK(engine.prefill_ns->median == 608);
  CHECK(engine.prefill_ns->min == 607);
  CHECK(engine.prefill_ns->max == 611);
}

TEST_CASE("one token has no decode: null with the reason, and the rest stands") {
  ManualProbe probe;
  ScriptedSubject subject(probe);
  subject.naive = {{{1}}, {}, 1000, 0, 7, 0, 0};
  subject.engine = {{{1}}, {}, 600, 0, 7, 0, 0};
  const CaseMeasurement m = measured(subject, probe, 1, 6);
  const PathMetrics engine = path_metrics(m.engine);
  CHECK_FALSE(engine.tpot_ns.has_value());
  CHECK_FALSE(engine.decode_tok_per_s.has_value());
  CHECK(engine.decode_tok_per_s_without_sampling.reason == "one token was generated: there is no gap between tokens");
  CHECK(engine.output_tok_per_s->median == 1e9 / 607);
  const Speedup s = speedup(m, agreement_of(Verdict::agree), kVerified);
  CHECK_FALSE(s.withheld);
  CHECK(s.decode.reason == "one token was generated: there is nothing to decode");
  CHECK(s.prefill->ratio == Approx(1000.0 / 600));
}

TEST_CASE("a clock that stands still gives no rate instead of an infinite one") {
  ManualProbe probe;
  ScriptedSubject subject(probe);
  subject.naive = subject.engine = {{{1, 2}}, {}, 0, 0, 0, 0, 0};
  const CaseMeasurement m = measured(subject, probe, 1, 1);
  CHECK(path_metrics(m.engine).decode_tok_per_s.reason == "the clock did not advance in one of the repetitions");
  CHECK_FALSE(path_metrics(m.engine).prefill_tok_per_s.has_value());
  CHECK_FALSE(speedup(m, agreement_of(Verdict::agree), kVerified).e2e.has_value());
}

TEST_CASE("speed-ups pair the repetitions") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  // A machine that is twice as slow in every other repetition: ratios per pair stay the same, unpaired medians would not.
  subject.before = [&](Path, int64_t call) {
    const int64_t slow = call >= 6 && (call / 2) % 2 == 0 ? 2 : 1;
    subject.naive.prefill_ns = 1000 * slow;
    subject.engine.prefill_ns = 500 * slow;
  };
  const CaseMeasurement m = measured(subject, probe, 1, 12);
  const Speedup s = speedup(m, agreement_of(Verdict::agree), kVerified);
  CHECK_FALSE(s.withheld);
  CHECK(s.verified);
  CHECK(s.prefill->ratio == Approx(2.0));
  CHECK(*s.prefill->low == Approx(2.0));
  CHECK(*s.prefill->high == Approx(2.0));
  CHECK(s.prefill->n == 12);
  CHECK(s.decode->ratio == Approx(2214.0 / 214));
}

TEST_CASE("too few repetitions give a ratio without an interval") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  const Speedup s = speedup(measured(subject, probe, 1, 5), agreement_of(Verdict::agree), kVerified);
  CHECK(s.e2e->ratio == Approx(3221.0 / 821));
  CHECK_FALSE(s.e2e->low);
}

TEST_CASE("a speed-up is withheld where the outputs disagree") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  const Speedup s = speedup(measured(subject, probe, 1, 1), agreement_of(Verdict::disagree), kVerified);
  CHECK(s.withheld == "the outputs disagree: because");
  CHECK_FALSE(s.e2e.has_value());
  CHECK_FALSE(s.verified);
}

TEST_CASE("a speed-up is withheld where the measurement is invalid") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  subject.naive.extra_forwards = 1;
  const Speedup s = speedup(measured(subject, probe, 1, 1), agreement_of(Verdict::agree), kVerified);
  REQUIRE(s.withheld);
  CHECK_THAT(*s.withheld, Catch::Matchers::StartsWith("the measurement is invalid: naive pushed 34 positions"));
}

TEST_CASE("a speed-up is withheld where the rows are not equally long") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  subject.engine.rows[0].pop_back();
  const Speedup s = speedup(measured(subject, probe, 1, 1), agreement_of(Verdict::tie), kVerified);
  CHECK(s.withheld == "row 0: naive produced 3 tokens, the engine 2: unequal work; `sampler.stop: off` makes it equal");
}

TEST_CASE("a speed-up that nobody verified is given and says so") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  const Speedup s = speedup(measured(subject, probe, 1, 1), agreement_of(Verdict::unverified), kVerified);
  CHECK_FALSE(s.withheld);
  CHECK_FALSE(s.verified);
  CHECK(speedup(measured(subject, probe, 1, 1), agreement_of(Verdict::tie), kVerified).verified);
}

TEST_CASE("the FLOPs of both paths are the cost model's, forward by forward") {
  const GptConfig config = tiny_config();
  const bool all = GENERATE(true, false);
  const std::vector<int64_t> lengths = {1, 3, 2};
  double naive = 0, engine = flops_of_forward(config, 0, 10, false);
  for (const int64_t n : lengths) {
    for (int64_t i = 0; i < n; ++i) naive += flops_of_forward(config, 0, 10 + i, all);
    for (int64_t i = 0; i + 1 < n; ++i) engine += flops_of_forward(config, 10 + i, 1, false);
  }
  const PathFlops flops = path_flops(config, all, 10, 0, lengths);
  CHECK(flops.naive == Approx(naive).epsilon(1e-12));
  CHECK(flops.engine == Approx(engine).epsilon(1e-12));
}

TEST_CASE("a case's work is its counters and the cost model") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  const GptConfig config = tiny_config();
  const CaseMeasurement m = measured(subject, probe, 1, 1);
  const Work work = work_of(config, {4, 2, 4}, true, 10, 0, m);
  CHECK(work.work_ratio == 33.0 / 12);
  const PathFlops flops = path_flops(config, true, 10, 0, {3});
  CHECK(work.ceiling == flops.naive / flops.engine);
  const ElementBytes bytes{4, 2, 4};  // embeddings stay as they are stored
  CHECK(work.weight_bytes_stored == weight_bytes_stored(config, bytes));
  CHECK(work.weight_bytes_read == weight_bytes_read(config, bytes, 1));
  CHECK(work.kv_bytes_per_token == kv_bytes_per_token(config, 4));
}
