// A gate from its first block to its verdict: who is measured again, and what is believed.
#include "harness/gate/timing_gate.h"

#include <algorithm>

#include "tests/harness/gate/fake_gate.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using compare::Verdict;
using Texts = std::vector<std::string>;

namespace {

/// "demo/a engine_decode cpu REGRESSED", of each gated time.
Texts gated(const TimingOutcome& outcome) {
  Texts texts;
  for (const TimedVerdict& each : outcome.verdicts) {
    if (!each.judged.gated) continue;
    texts.push_back(each.judged.case_id + " " + each.judged.metric + " " + std::string(word(each.judged.verdict)));
  }
  return texts;
}

const TimedVerdict& of(const TimingOutcome& outcome, const std::string& id, const std::string& metric) {
  for (const TimedVerdict& each : outcome.verdicts) {
    if (each.judged.case_id == id && each.judged.metric == metric) return each;
  }
  FAIL("no " << metric << " of " << id);
  throw;
}

}  // namespace

TEST_CASE("programs that take the same time are EQUIVALENT, and no second session is measured", "[gate][timing]") {
  FakeGate gate;
  const TimingOutcome outcome = gate.run();
  CHECK(gated(outcome) == Texts{"demo/a engine_prefill cpu EQUIVALENT", "demo/a engine_decode cpu EQUIVALENT",
                                "demo/b engine_prefill cpu EQUIVALENT", "demo/b engine_decode cpu EQUIVALENT"});
  CHECK(outcome.verdict() == Verdict::equivalent);
  CHECK_FALSE(outcome.second.has_value());
  CHECK(gate.blocks() == 8);
  CHECK(outcome.family.tests == 4);
  CHECK(outcome.family.note.empty());
  CHECK(outcome.verdicts.size() == 8);  // wall time beside it, which gates nothing
  // A fake call takes 10 ms of wall time and 8 ms of CPU time; its decode has 3 steps.
  CHECK(of(outcome, "demo/b", "engine_prefill wall").times.value().base_ns == 10'000'000);
  CHECK(of(outcome, "demo/b", "engine_decode cpu").times.value().candidate_ns == Approx(8e6 / 3));
}

TEST_CASE("the control is measured on the first case that has the part, and shows what identical code does",
          "[gate][timing]") {
  FakeGate gate;
  gate.spec.cases[0].sampler.max_tokens = 1;  // no decode there
  for (auto& [side, program] : gate.programs) program.cases["demo/a"] = small_facts("demo/a", {7});
  const TimingOutcome outcome = gate.run();
  Texts controls;
  for (const compare::Judged& each : outcome.controls) controls.push_back(each.case_id + " " + each.metric);
  CHECK(std::count(controls.begin(), controls.end(), "demo/a engine_prefill cpu") == 1);
  CHECK(std::count(controls.begin(), controls.end(), "demo/b engine_decode cpu") == 1);
  CHECK(std::count(controls.begin(), controls.end(), "demo/a engine_decode cpu") == 0);
  const auto effects = outcome.aa_effects();
  REQUIRE(effects.size() == controls.size());
  CHECK(effects[0].fingerprint == "bbbb");
  CHECK(effects[0].log_ratio == 0);
}

TEST_CASE("a slow-down of one part of one case is REGRESSED once a second session repeats it, and nothing else is",
          "[gate][timing]") {
  const std::string id = GENERATE("demo/a", "demo/b");
  FakeGate gate;
  gate.slower = {{Side::candidate, id, "engine_decode"}};
  const TimingOutcome outcome = gate.run();
  CHECK(outcome.verdict() == Verdict::regressed);
  for (const std::string& one : gated(outcome)) {
    CAPTURE(one);
    CHECK((one == id + " engine_decode cpu REGRESSED" || one.ends_with(" EQUIVALENT")));
  }
  const TimedVerdict& slow = of(outcome, id, "engine_decode cpu");
  CHECK(slow.judged.verdict == Verdict::regressed);
  CHECK(slow.judged.confirmed);
  CHECK(slow.judged.effect.ratio() == Approx(1.1));
  REQUIRE(slow.second.has_value());
  CHECK(slow.second->verdict == Verdict::regressed);
  CHECK(slow.second->p <= 0.025);
  CHECK(of(outcome, id, "engine_decode wall").judged.verdict == Verdict::equivalent);

  // The second session measures that and nothing else, with a control of its own.
  REQUIRE(outcome.second.has_value());
  CHECK(gate.blocks() == 16);
  REQUIRE(outcome.second->blocks.size() == 8);
  for (const Rounds& run : outcome.second->blocks[0]) {
    CHECK(run.id == id);
    CHECK(word_of(run.timed) == "engine_decode");
  }
  CHECK(outcome.second->blocks[0].size() == 2);
}

TEST_CASE("a slow-down that the second session does not repeat is INCONCLUSIVE", "[gate][timing]") {
  FakeGate gate;
  gate.slower = {{.in_second = false}};
  const TimingOutcome outcome = gate.run();
  CHECK(outcome.verdict() == Verdict::inconclusive);
  const TimedVerdict& once = of(outcome, "demo/a", "engine_decode cpu");
  CHECK(once.judged.verdict == Verdict::inconclusive);
  CHECK_FALSE(once.judged.confirmed);
  CHECK(once.judged.reason == "a second session did not repeat it: EQUIVALENT, +0.0 %");
  CHECK(once.second.value().verdict == Verdict::equivalent);
}

TEST_CASE("a slow-down is not believed where the base differs from its own copy", "[gate][timing]") {
  FakeGate gate;
  SECTION("in the first session, which ends it") {
    gate.slower = {{Side::candidate}, {Side::control}};
    const TimingOutcome outcome = gate.run();
    CHECK(outcome.verdict() == Verdict::inconclusive);
    CHECK_THAT(of(outcome, "demo/a", "engine_decode cpu").judged.reason,
               StartsWith("the base against its own copy is REGRESSED by +10.0 % (demo/a) in this session"));
    CHECK_FALSE(outcome.second.has_value());
  }
  SECTION("in the second session, which then repeats nothing") {
    gate.slower = {{Side::candidate}, {.side = Side::control, .in_first = false}};
    const TimingOutcome outcome = gate.run();
    CHECK(outcome.verdict() == Verdict::inconclusive);
    CHECK_THAT(of(outcome, "demo/a", "engine_decode cpu").judged.reason,
               StartsWith("a second session did not repeat it: INCONCLUSIVE"));
  }
}

TEST_CASE("a slow-down within this machine's noise floor is no alarm", "[gate][timing]") {
  FakeGate gate;
  gate.slower = {{}};
  gate.spec.recorded = {{"bbbb", "engine_decode cpu", 0.08}, {"other", "engine_decode cpu", 0.5}};
  const TimingOutcome outcome = gate.run();  // 1.5 · 0.08
  CHECK(of(outcome, "demo/a", "engine_decode cpu").judged.margin.share == Approx(0.12));
  CHECK(outcome.verdict() != Verdict::regressed);
  CHECK_FALSE(outcome.second.has_value());
}

TEST_CASE("times of two threads gate nothing, however much they differ", "[gate][timing]") {
  FakeGate gate;
  gate.of_all([](CaseFacts& facts) { facts.threads = 2; });
  gate.slower = {{.by = 1}};
  const TimingOutcome outcome = gate.run();
  CHECK(gated(outcome).empty());
  CHECK(outcome.verdict() == Verdict::incomparable);
  CHECK(of(outcome, "demo/a", "engine_decode cpu").judged.effect.ratio() == Approx(2));
  CHECK_FALSE(outcome.second.has_value());
}

TEST_CASE("CPU time of one thread on a CPU gates, and no other", "[gate][timing]") {
  CaseFacts facts = small_facts("demo/a");
  CHECK(gates(facts, ClockKind::cpu));
  CHECK_FALSE(gates(facts, ClockKind::wall));
  facts.device = "cuda";
  CHECK_FALSE(gates(facts, ClockKind::cpu));
  CHECK(metric_name(timed_of("naive_prefill"), ClockKind::wall) == "naive_prefill wall");
}

TEST_CASE("a session of too few blocks for its tests gets more", "[gate][timing]") {
  FakeGate gate;
  gate.spec.compare.blocks = 6;  // enough for one test, not for four
  const TimingOutcome outcome = gate.run();
  CHECK(outcome.family.blocks == 8);
  CHECK(outcome.first.blocks.size() == 8);
  CHECK(outcome.family.note == "4 gated tests need 8 blocks to tell one slow-down from chance: 8 in place of 6");
}

TEST_CASE("cases are judged together where no bearable number of blocks carries them one by one", "[gate][timing]") {
  FakeGate gate;
  for (int i = 2; i < 52; ++i) gate.add_case("demo/" + std::to_string(i));
  gate.spec.compare.blocks = 6;  // 104 tests need 13; twice as many as asked are allowed
  for (const Case& one : gate.spec.cases) gate.slower.push_back({.id = one.id});
  const TimingOutcome outcome = gate.run();
  CHECK(outcome.family.cases_joined);
  CHECK(outcome.family.tests == 2);
  CHECK(outcome.first.blocks.size() == 7);  // 2^-7 carries 0.025 / 2
  CHECK(gated(outcome) == Texts{"all cases engine_prefill cpu EQUIVALENT", "all cases engine_decode cpu REGRESSED"});
  CHECK_FALSE(of(outcome, "all cases", "engine_decode cpu").times.has_value());
  CHECK(outcome.second.value().cases.size() == 52);
  CHECK(outcome.verdict() == Verdict::regressed);
}

TEST_CASE("a case with other tokens is not timed, and the others are", "[gate][timing]") {
  FakeGate gate;
  gate.programs.at(Side::candidate).cases["demo/b"] = small_facts("demo/b", {7, 8, 9, 8});
  const TimingOutcome outcome = gate.run();
  CHECK(gated(outcome) == Texts{"demo/a engine_prefill cpu EQUIVALENT", "demo/a engine_decode cpu EQUIVALENT"});
  CHECK(outcome.first.cases[0].untimed.empty());
  CHECK_THAT(outcome.first.cases[1].untimed, Contains("base and candidate generate different tokens"));
  CHECK(outcome.verdict() == Verdict::equivalent);
}

TEST_CASE("where no case can be timed, one block is measured and nothing is judged", "[gate][timing]") {
  FakeGate gate;
  for (auto& [id, facts] : gate.programs.at(Side::candidate).cases) facts = small_facts(id, {7, 8, 9, 8});
  const TimingOutcome outcome = gate.run();
  CHECK(outcome.verdicts.empty());
  CHECK(outcome.verdict() == Verdict::incomparable);
  CHECK(gate.blocks() == 1);
}

TEST_CASE("a gate that is interrupted keeps its blocks and says nothing", "[gate][timing]") {
  FakeGate gate;
  gate.slower = {{}};
  const int64_t last = GENERATE(3, 11);  // in the first session, in the second
  int64_t begun = 0;
  const TimingOutcome outcome = gate.run([&](const PairedProgress& at) {
    begun += at.stage == "start";
    return begun <= last;
  });
  CHECK(outcome.interrupted);
  CHECK(outcome.verdict() != Verdict::regressed);
  if (last < 8) {
    CHECK(outcome.first.blocks.size() == 3);
    CHECK(outcome.verdicts.empty());
  } else {
    CHECK(outcome.first.blocks.size() == 8);
    CHECK(outcome.second.value().blocks.size() == 3);
  }
}
