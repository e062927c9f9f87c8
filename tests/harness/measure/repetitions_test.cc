#include "harness/measure/repetitions.h"

#include <cmath>

#include "tests/harness/measure/scripted.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

RepetitionPolicy policy_of(std::optional<int64_t> repetitions) {
  RepetitionPolicy policy;
  policy.repetitions = repetitions;
  return policy;
}

std::vector<Sample> rounds_of(const std::vector<int64_t>& e2e) {
  std::vector<Sample> rounds;
  for (const int64_t ns : e2e) {
    Sample sample;
    sample.e2e_ns = ns;
    rounds.push_back(sample);
  }
  return rounds;
}

}  // namespace

TEST_CASE("one call's times are read at its tokens, to the nanosecond") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  const ClockedCall call = clocked_call(subject, Path::engine, request_of_rows(1), probe);
  CHECK(call.sample.prefill_ns == 600);
  CHECK(call.sample.ttft_ns == 607);
  CHECK(call.sample.itl_ns == std::vector<int64_t>{107, 107});
  CHECK(call.sample.e2e_ns == 821);  // the last token, not the return 777 later
  CHECK(call.sample.sampling_ns == 21);
  CHECK(call.sample.decode_ns() == 214);
  CHECK(call.sample.decode_sampling_ns() == 14);
  CHECK(call.sample.cpu_ns == 2 * (821 + 777));
  CHECK(call.sample.context_switches == 15);  // 1 000 000 / 100 to 1 001 598 / 100
  CHECK(call.prefill_positions == 10);
  CHECK(call.observed_forwards == 12);
  REQUIRE(call.streams.size() == 1);
  CHECK(call.streams[0].tokens == std::vector<TokenId>{1, 2, 3});
  CHECK(call.streams[0].masks == std::vector<int>{1, 1, 1});
}

TEST_CASE("rows that end early have short streams") {
  ManualProbe probe;
  ScriptedSubject subject(probe);
  subject.engine = {{{1}, {1, 2, 3}, {1, 2}}, {}, 600, 100, 7, 0, 0};
  const ClockedCall call = clocked_call(subject, Path::engine, request_of_rows(3), probe);
  CHECK(call.streams[0].tokens.size() == 1);
  CHECK(call.streams[1].tokens == std::vector<TokenId>{1, 2, 3});
  CHECK(call.streams[2].tokens == std::vector<TokenId>{1, 2});
}

TEST_CASE("the paths take turns: engine and naive cold, then naive engine, engine naive, …") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  const CaseMeasurement m = measure_repetitions(subject, request_of_rows(1), policy_of(3), probe);
  const auto N = Path::naive, E = Path::engine;
  CHECK((subject.calls == std::vector<Path>{E, N, /* warm-up */ N, E, E, N, /* measured */ N, E, E, N, N, E}));
  CHECK(m.invalid.empty());
  CHECK(m.steady);
  REQUIRE(m.naive.samples.size() == 3);
  REQUIRE(m.engine.samples.size() == 3);
  CHECK(m.naive.warmup.size() == 2);
  for (int64_t i = 0; i < 3; ++i) {
    CHECK(m.naive.samples[i].repetition == i);
    CHECK(m.naive.samples[i].order == i % 2);
    CHECK(m.engine.samples[i].order == 1 - i % 2);
  }
  CHECK(m.engine.first_call.order == 0);
  CHECK(m.naive.first_call.order == 1);
}

TEST_CASE("the cold calls are kept apart, and so is each path's peak of memory") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  subject.before = [&](Path, int64_t call) { subject.engine.prefill_ns = call == 0 ? 90'000 : 600; };
  const CaseMeasurement m = measure_repetitions(subject, request_of_rows(1), policy_of(2), probe);
  CHECK(m.engine.first_call.prefill_ns == 90'000);
  for (const Sample& sample : m.engine.samples) CHECK(sample.prefill_ns == 600);
  CHECK(*m.engine.peak_rss_bytes == 1050);
  CHECK(*m.naive.peak_rss_bytes == 1500);
}

TEST_CASE("a mark the kernel does not clear gives no peak, and the reason") {
  ManualProbe probe;
  probe.refusal = "not allowed here";
  ScriptedSubject subject = standard_subject(probe);
  const CaseMeasurement m = measure_repetitions(subject, request_of_rows(1), policy_of(1), probe);
  CHECK_FALSE(m.engine.peak_rss_bytes.has_value());
  CHECK(m.engine.peak_rss_bytes.reason == "not allowed here");
}

TEST_CASE("warm-up goes on until the rolling median of both paths stands still") {
  CHECK_FALSE(is_steady(rounds_of({100}), 0.05));
  CHECK(is_steady(rounds_of({100, 110}), 0.05));                      // medians 100, 105
  CHECK_FALSE(is_steady(rounds_of({100, 111}), 0.05));                // 100, 105.5
  CHECK_FALSE(is_steady(rounds_of({900, 500, 100}), 0.05));           // 700, 500
  CHECK(is_steady(rounds_of({900, 100, 102, 101}), 0.05));            // 102, 101
  CHECK(is_steady(rounds_of({100, 100, 100, 300}), 0.05));            // one stall moves no median of three
  CHECK(is_steady(rounds_of({100, 100, 100, 200, 200, 200}), 0.05));  // 200, 200: what was long ago does not count
}

TEST_CASE("a path that is still getting faster prolongs the warm-up, and its samples are warm") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  std::vector<int64_t> prefill = {9000, 5000, 3000, 2000, 1000, 1000, 1000};
  subject.before = [&](Path path, int64_t) {
    if (path != Path::naive) return;
    subject.naive.prefill_ns = prefill.front();
    if (prefill.size() > 1) prefill.erase(prefill.begin());
  };
  const CaseMeasurement m = measure_repetitions(subject, request_of_rows(1), policy_of(2), probe);
  CHECK(m.steady);
  CHECK(m.naive.first_call.prefill_ns == 9000);
  CHECK(m.naive.warmup.size() > 4);
  CHECK(m.naive.warmup.size() == m.engine.warmup.size());
  for (const Sample& sample : m.naive.samples) CHECK(sample.prefill_ns == 1000);
}

TEST_CASE("a path that never settles is measured all the same, and said to be unsteady") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  subject.before = [&](Path path, int64_t) {
    if (path == Path::naive) subject.naive.prefill_ns += subject.naive.prefill_ns / 2;
  };
  const CaseMeasurement m = measure_repetitions(subject, request_of_rows(1), policy_of(2), probe);
  CHECK_FALSE(m.steady);
  CHECK(m.naive.warmup.size() == 12);
  CHECK(m.naive.samples.size() == 2);
}

TEST_CASE("a warm-up of long rounds ends with its time, not with its rounds") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  int64_t next = 1'000'000'000;
  subject.before = [&](Path path, int64_t) {
    if (path == Path::naive) subject.naive.prefill_ns = next += 1'000'000'000;
  };
  const CaseMeasurement m = measure_repetitions(subject, request_of_rows(1), policy_of(1), probe);
  CHECK_FALSE(m.steady);
  CHECK(m.naive.warmup.size() == 2);  // the least, though they took 7 s
}

TEST_CASE("automatic repetitions fill ten seconds, at least 3 and at most 12") {
  ManualProbe probe;
  const auto [prefill_ns, expected] = GENERATE(table<int64_t, std::size_t>(
      {{1'000, 12}, {800'000'000, 12}, {1'990'000'000, 5}, {2'100'000'000, 4}, {60'000'000'000, 3}}));
  ScriptedSubject subject = standard_subject(probe);
  subject.naive.prefill_ns = prefill_ns;
  const CaseMeasurement m = measure_repetitions(subject, request_of_rows(1), policy_of({}), probe);
  CAPTURE(prefill_ns);
  CHECK(m.naive.samples.size() == expected);
  CHECK(m.engine.samples.size() == expected);
}

TEST_CASE("tokens that change between repetitions make the case INVALID, once, with the place") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  subject.before = [&](Path path, int64_t call) {
    if (path == Path::engine) subject.engine.rows[0][2] = call == 0 ? 3 : 9;
  };
  const CaseMeasurement m = measure_repetitions(subject, request_of_rows(1), policy_of(2), probe);
  CHECK(m.invalid ==
        std::vector<std::string>{"engine is not deterministic: row 0, step 2 differs from the first call's"});
}

TEST_CASE("a repetition that does other work than the first makes the case INVALID") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  subject.before = [&](Path, int64_t call) { subject.engine.extra_forwards = call > 4 ? 1 : 0; };
  const CaseMeasurement m = measure_repetitions(subject, request_of_rows(1), policy_of(3), probe);
  CHECK(m.invalid ==
        std::vector<std::string>{
            "engine did not do the work of the first call: 13 and 12 positions, 4096 and 4096 bytes of cache"});
}

TEST_CASE("a repetition whose first logits differ in a bit from the first call's makes the case INVALID") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  subject.before = [&](Path, int64_t call) { subject.engine.first_logit = call == 7 ? std::nextafter(1.F, 2.F) : 1.F; };
  const CaseMeasurement m = measure_repetitions(subject, request_of_rows(1), policy_of(3), probe);
  CHECK(m.invalid == std::vector<std::string>{
                         "engine's first logits are not, to the bit, those of the first call: something was left over from "
                         "call to call, or the engine is not deterministic"});
}

namespace {

/// Remembers rounds that an earlier process measured.
class EarlierLog final : public CaseLog {
 public:
  EarlierRounds earlier;
  std::vector<int64_t> told;  // repetitions, as they end

  EarlierRounds begin(const CaseMeasurement&) override { return earlier; }
  void decided(const CaseMeasurement&, int64_t) override { told.push_back(-1); }
  void round(const Sample& naive, const Sample&) override { told.push_back(naive.repetition); }
};

}  // namespace

TEST_CASE("rounds of an earlier process stand before those that are missing and are not measured again") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  EarlierLog first, log;
  const CaseMeasurement whole =
      measure_repetitions(subject, request_of_rows(1), policy_of(4), probe, {}, &first);
  CHECK(first.told == std::vector<int64_t>{-1, 0, 1, 2, 3});
  log.earlier.repetitions = 4;
  for (std::size_t i = 0; i < 3; ++i) {
    log.earlier.naive.push_back(whole.naive.samples[i]);
    log.earlier.engine.push_back(whole.engine.samples[i]);
  }
  log.earlier.naive[1].e2e_ns = 424242;
  subject.calls.clear();
  const CaseMeasurement m = measure_repetitions(subject, request_of_rows(1), policy_of({}), probe, {}, &log);
  CHECK(log.told == std::vector<int64_t>{3});
  REQUIRE(m.naive.samples.size() == 4);
  CHECK(m.naive.samples[1].e2e_ns == 424242);
  CHECK(m.naive.samples[3].repetition == 3);
  CHECK(subject.calls.size() == 2 + 2 * 2 + 2);  // cold, warm-up, the one that was missing
  CHECK(m.invalid.empty());

  log.earlier.engine[2].first_logits[0] ^= 1;
  CHECK(measure_repetitions(subject, request_of_rows(1), policy_of({}), probe, {}, &log).invalid ==
        std::vector<std::string>{"engine's first logits are not, to the bit, those of before the run was cut off"});
}

TEST_CASE("positions that the row lengths do not explain make the case INVALID") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  subject.naive.extra_forwards = 13;  // one wasted forward after the last token
  const CaseMeasurement m = measure_repetitions(subject, request_of_rows(1), policy_of(1), probe);
  CHECK(m.invalid ==
        std::vector<std::string>{
            "naive pushed 46 positions through the model (33 of them announced); rows of these lengths take 33"});
}

TEST_CASE("a first forward of other than the prompt makes the case INVALID: the cache was not empty") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  subject.engine.prefill_extra = -4;  // four positions were there already
  const CaseMeasurement m = measure_repetitions(subject, request_of_rows(1), policy_of(1), probe);
  REQUIRE(m.invalid.size() == 2);
  CHECK(m.invalid[0] ==
        "engine pushed 8 positions through the model (8 of them announced); rows of these lengths take 12");
  CHECK(m.invalid[1] == "engine's first forward took 6 positions, the prompt has 10: something was left in its cache");
}

TEST_CASE("several rows that end at different steps count what they ran") {
  ManualProbe probe;
  ScriptedSubject subject(probe);
  subject.naive = {{{1}, {1, 2, 3}, {1, 2}}, {}, 1000, 1100, 7, 0, 0};
  subject.engine = {{{1}, {1, 2, 3}, {1, 2}}, {}, 600, 100, 7, 0, 0};
  const CaseMeasurement m = measure_repetitions(subject, request_of_rows(3), policy_of(1), probe);
  CHECK(m.invalid.empty());
  CHECK(m.naive.result.token_forwards == 30 + 22 + 12);
  CHECK(m.engine.result.token_forwards == 10 + 2 + 1);
  CHECK(m.naive.prefill_positions == 30);
  CHECK(m.engine.prefill_positions == 10);
}

TEST_CASE("tokens that the engine's tools force are given to the naive path, row by row") {
  ManualProbe probe;
  ScriptedSubject subject(probe);
  subject.naive = {{{1, 2, 3}, {1, 2, 3}}, {}, 1000, 1100, 7, 0, 0};
  subject.engine = {{{1, 2, 3}, {1, 2, 3}}, {{{1, 2}}, {{1, 2}, {2, 3}}}, 600, 100, 7, 0, 0};
  GenerationRequest request = request_of_rows(2);
  request.tools = true;
  const CaseMeasurement m = measure_repetitions(subject, request, policy_of(1), probe);
  CHECK(m.replayed_forced_tokens == 3);
  CHECK(m.naive.streams[1].masks == std::vector<int>{1, 0, 0});
  for (std::size_t i = 0; i < subject.calls.size(); ++i) {
    if (subject.calls[i] == Path::engine) {
      CHECK(subject.requests[i].forced.empty());
    } else {
      CHECK(subject.requests[i].forced == std::vector<ForcedTokens>{{{1, 2}}, {{1, 2}, {2, 3}}});
    }
  }
}

TEST_CASE("the listener hears every stage before it runs, with the time that is left") {
  ManualProbe probe;
  ScriptedSubject subject = standard_subject(probe);
  std::vector<std::string> heard;
  std::optional<double> last;
  measure_repetitions(subject, request_of_rows(1), policy_of(3), probe,
                      [&](const std::string& stage, int64_t done, int64_t total, std::optional<double> left) {
                        heard.push_back(stage + " " + std::to_string(done) + "/" + std::to_string(total));
                        last = left;
                        return true;
                      });
  CHECK(heard == std::vector<std::string>{"first call 0/2", "first call 1/2", "warm-up 0/12", "warm-up 1/12",
                                          "repetition 0/3", "repetition 1/3", "repetition 2/3"});
  REQUIRE(last);
  // One round: naive 3221 + 777, engine 821 + 777.
  CHECK(*last == Approx((3221 + 777 + 821 + 777) * 1e-9));
}

TEST_CASE("a listener that has enough ends the measurement with the rounds there are") {
  ManualProbe probe;
  const auto measured = [&](const std::string& stage, int64_t done) {
    ScriptedSubject subject = standard_subject(probe);
    return measure_repetitions(
        subject, request_of_rows(1), policy_of(4), probe,
        [&](const std::string& at, int64_t so_far, int64_t, std::optional<double>) { return at != stage || so_far < done; });
  };
  const CaseMeasurement begun = measured("repetition", 2), warming = measured("warm-up", 1), cold = measured("first call", 0);
  CHECK(begun.interrupted);
  CHECK(begun.naive.samples.size() == 2);
  CHECK(begun.engine.samples.size() == 2);
  CHECK(warming.interrupted);
  CHECK(warming.naive.warmup.size() == 1);
  CHECK(warming.naive.samples.empty());
  CHECK(cold.interrupted);
  CHECK(cold.engine.samples.empty());
  CHECK_FALSE(measured("repetition", 9).interrupted);
}
