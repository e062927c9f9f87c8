#include "harness/compare/session.h"

#include <cmath>
#include <stdexcept>

#include "tests/harness/compare/numbers.h"

using namespace kvproof;
using namespace kvproof::compare;
using kvproof::testing::as_scipy;
using kvproof::testing::Noise;
using kvproof::testing::scipy;

namespace {

// 12 blocks, `below` of them on the other side of zero.
std::vector<double> slower(int below = 0, double by = 0.05) {
  std::vector<double> d;
  for (int b = 0; b < 12; ++b) d.push_back(b < below ? -0.01 : by + 0.001 * b);
  return d;
}

const std::vector<double> kSame = {-0.005, 0.004, -0.003, 0.002, -0.001, 0, 0.001, -0.002, 0.003, -0.004, 0.005, 0.001};

Session one_test(std::vector<double> effects, std::vector<double> control = kSame) {
  return {{{"a", "decode", std::move(effects)}}, {{"a", "decode", std::move(control)}}, {}};
}

}  // namespace

TEST_CASE("Holm's p values are those of the step-down procedure", "[compare]") {
  for (const auto& row : scipy("holm")) {
    const auto adjusted = holm(row["p"].get<std::vector<double>>());
    REQUIRE(adjusted.size() == row["adjusted"].size());
    for (std::size_t i = 0; i < adjusted.size(); ++i) CHECK(adjusted[i] == as_scipy(row["adjusted"][i]));
  }
  CHECK(holm({}).empty());
}

TEST_CASE("one test of a quiet session is judged as it is alone", "[compare]") {
  CHECK(judge_session(one_test(slower())).at(0).verdict == Verdict::regressed);
  CHECK(judge_session(one_test(slower(2))).at(0).verdict == Verdict::regressed);
  CHECK(judge_session(one_test(kSame)).at(0).verdict == Verdict::equivalent);
  const Judged open = judge_session(one_test(slower(3))).at(0);
  CHECK(open.verdict == Verdict::inconclusive);
  CHECK(open.reason == "between -1.0 % and +6.1 % it may be either");
  CHECK(open.blocks_to_settle.value() > 12);
}

TEST_CASE("a control that finds identical code different takes REGRESSED and IMPROVED back, of its metric",
          "[compare]") {
  const auto sign = GENERATE(1.0, -1.0);
  std::vector<double> off = slower();
  for (double& d : off) d *= sign;
  std::vector<double> faster = slower();
  for (double& d : faster) d = -d;
  const Session session = {{{"a", "decode", slower()},
                            {"b", "decode", slower()},
                            {"b", "prefill", slower()},
                            {"c", "decode", kSame},
                            {"d", "decode", faster}},
                           {{"a", "decode", off}, {"a", "prefill", kSame}},
                           {}};
  const auto judged = judge_session(session);
  CHECK(judged[0].verdict == Verdict::inconclusive);
  CHECK(judged[1].verdict == Verdict::inconclusive);  // of another case: what shifts one shifts the other
  CHECK(judged[2].verdict == Verdict::regressed);     // of another metric
  CHECK(judged[3].verdict == Verdict::equivalent);
  CHECK(judged[4].verdict == Verdict::inconclusive);
  CHECK(judged[0].reason ==
        (sign > 0 ? "the base against its own copy is REGRESSED by +5.7 % (a) in this session: measure again when "
                    "the machine is quiet"
                  : "the base against its own copy is IMPROVED by -5.4 % (a) in this session: measure again when "
                    "the machine is quiet"));
}

TEST_CASE("without a control nothing is REGRESSED", "[compare]") {
  Session session = one_test(slower());
  session.controls[0].metric = "prefill";
  const Judged judged = judge_session(session).at(0);
  CHECK(judged.verdict == Verdict::inconclusive);
  CHECK(judged.reason == "the session has no control (the base against its own copy) of this metric");
}

TEST_CASE("control and candidate are held against the metric's own margin", "[compare]") {
  Session session = one_test(slower(0, 0.05), slower(0, 0.03));
  CHECK(judge_session(session).at(0).verdict == Verdict::inconclusive);  // the control is off by 3.5 %
  session.margins["decode"] = Margin{0.045, 0.03, 40};
  CHECK(judge_session(session).at(0).verdict == Verdict::regressed);
}

TEST_CASE("on a machine too noisy to tell, what surely differs is not called equal", "[compare]") {
  Session session = one_test(slower(0, 0.05));
  session.margins["decode"] = Margin{0.09, 0.06, 40};
  const Judged judged = judge_session(session).at(0);
  CHECK(judged.verdict == Verdict::inconclusive);
  CHECK_THAT(judged.reason,
             Catch::Matchers::EndsWith(
                 "surely not equal, and identical programs have differed by so much here that the margin is "
                 "9.0 %: measure on a quieter machine"));
  session.compared[0].effects = kSame;
  CHECK(judge_session(session).at(0).verdict == Verdict::equivalent);
}

TEST_CASE("a session in which something got faster and nothing slower is IMPROVED", "[compare]") {
  Session session = one_test(kSame);
  std::vector<double> faster = slower();
  for (double& d : faster) d = -d;
  session.compared.push_back({"b", "decode", faster});
  CHECK(gate(judge_session(session)) == Verdict::improved);
}

TEST_CASE("among many gated tests a gain must be surer, too", "[compare]") {
  std::vector<double> faster = slower(1);  // p = 13 / 4096
  for (double& d : faster) d = -d;
  Session session = one_test(faster);
  for (int i = 0; i < 6; ++i) session.compared.push_back({"same " + std::to_string(i), "decode", kSame});
  CHECK(judge_session(session).front().verdict == Verdict::improved);  // 7 · 13 / 4096 = 0.0222
  session.compared.push_back({"same", "decode", kSame});
  const Judged judged = judge_session(session).front();
  CHECK(judged.verdict == Verdict::inconclusive);
  CHECK(judged.reason == "faster, but among 8 gated tests that may be chance: p = 0.025 after Holm's correction");
  session.compared.front().gated = false;
  CHECK(judge_session(session).front().verdict == Verdict::improved);
}

TEST_CASE("among many gated tests a slow-down must be surer, and ungated ones do not count", "[compare]") {
  Session session = one_test(slower(1));  // p = 13 / 4096
  for (int i = 0; i < 7; ++i) session.compared.push_back({"same " + std::to_string(i), "decode", kSame});
  session.compared.push_back({"a", "wall", slower(2), false});
  session.controls.push_back({"a", "wall", kSame});
  auto judged = judge_session(session);
  CHECK(judged.front().verdict == Verdict::inconclusive);  // 8 · 13 / 4096 = 0.0254
  CHECK(judged.front().p == Approx(8 * 13.0 / 4096).epsilon(1e-12));
  CHECK(judged.front().reason ==
        "slower, but among 8 gated tests that may be chance: p = 0.025 after Holm's correction");
  CHECK(judged.front().blocks_to_settle.value() > 12);
  CHECK(judged.back().verdict == Verdict::regressed);
  CHECK(judged.back().p == Approx(79.0 / 4096).epsilon(1e-12));
  session.compared.erase(session.compared.begin() + 1);
  CHECK(judge_session(session).front().verdict == Verdict::regressed);  // 7 · 13 / 4096 = 0.0222
}

TEST_CASE("blocks that cannot carry so many tests say how many could", "[compare]") {
  Session session;
  session.controls.push_back({"0", "decode", kSame});
  for (int i = 0; i < 103; ++i) session.compared.push_back({std::to_string(i), "decode", i == 0 ? slower() : kSame});
  CHECK(judge_session(session).front().reason ==
        "slower, but among 103 gated tests that may be chance: p = 0.025 after Holm's correction; so many need 13 "
        "blocks or more");
}

TEST_CASE("a gate fails only where a second session says the same", "[compare]") {
  const auto first = judge_session({{{"a", "decode", slower()}, {"b", "decode", kSame}, {"a", "wall", slower(), false}},
                                    {{"a", "decode", kSame}, {"a", "wall", kSame}},
                                    {}});
  CHECK(gate(first) == Verdict::inconclusive);  // not before it is confirmed
  const auto again = to_confirm(first);
  REQUIRE(again.size() == 1);
  CHECK(again[0].case_id == "a");
  CHECK(again[0].metric == "decode");

  const auto confirmed = confirm(first, judge_session(one_test(slower())));
  CHECK(confirmed[0].verdict == Verdict::regressed);
  CHECK(confirmed[0].confirmed);
  CHECK(gate(confirmed) == Verdict::regressed);
  CHECK(confirmed[2].verdict == Verdict::regressed);  // report only: nobody confirms it, and it fails nothing
  CHECK_FALSE(confirmed[2].confirmed);

  const auto not_repeated = confirm(first, judge_session(one_test(kSame)));
  CHECK(not_repeated[0].verdict == Verdict::inconclusive);
  CHECK(not_repeated[0].reason == "a second session did not repeat it: EQUIVALENT, +0.1 %");
  CHECK(gate(not_repeated) == Verdict::inconclusive);
  const auto doubted = confirm(first, judge_session(one_test(slower(), slower())));
  CHECK(doubted[0].verdict == Verdict::inconclusive);
  const auto lost = confirm(first, {});
  CHECK(lost[0].verdict == Verdict::inconclusive);
  CHECK(lost[0].reason == "a second session, which must repeat it, was not measured");
}

TEST_CASE("a gate passes where all that counts is settled, and needs something that counts", "[compare]") {
  CHECK(gate(judge_session(one_test(kSame))) == Verdict::equivalent);
  Session report_only = one_test(slower());
  report_only.compared[0].gated = false;
  CHECK(gate(judge_session(report_only)) == Verdict::incomparable);
  report_only.compared.push_back({"b", "decode", kSame});
  CHECK(gate(judge_session(report_only)) == Verdict::equivalent);
}

TEST_CASE("a session takes more blocks, or cases together, where blocks cannot carry its tests", "[compare]") {
  const Family enough = plan_family(102, 3, 12, 12);
  CHECK(enough.tests == 102);
  CHECK(enough.blocks == 12);
  CHECK(enough.note.empty());
  const Family raised = plan_family(105, 3, 12, 20);
  CHECK(raised.blocks == 13);
  CHECK_FALSE(raised.cases_joined);
  CHECK(raised.note == "105 gated tests need 13 blocks to tell one slow-down from chance: 13 in place of 12");
  const Family joined = plan_family(105, 3, 12, 12);
  CHECK(joined.cases_joined);
  CHECK(joined.tests == 3);
  CHECK(joined.note ==
        "105 gated tests need 13 blocks to tell one slow-down from chance, and 12 are allowed: "
        "the cases "
        "of a metric are judged together, by their geometric mean, over 12 blocks");
  const Family hopeless = plan_family(105, 3, 5, 6);
  CHECK(hopeless.blocks == 6);
  CHECK(hopeless.note ==
        "105 gated tests need 13 blocks to tell one slow-down from chance, and 6 are allowed, "
        "too few "
        "even with all cases of a metric together (7): no gated verdict can be REGRESSED");
  CHECK_THROWS_AS(plan_family(2, 3, 12, 12), std::invalid_argument);
}

TEST_CASE("joined cases are one test of each metric", "[compare]") {
  const std::vector<Measured> measured = {
      {"a", "decode", {0.1, 0.2}}, {"a", "wall", {9, 9}, false}, {"b", "decode", {0.3, 0.6}}, {"a", "prefill", {1, 1}}};
  const auto joined = join_cases(measured);
  REQUIRE(joined.size() == 3);
  CHECK(joined[0].metric == "wall");
  CHECK(joined[1].case_id == "all cases");
  CHECK(joined[1].metric == "decode");
  CHECK(joined[1].effects[1] == Approx(0.4).epsilon(1e-14));
  CHECK(joined[2].case_id == "all cases");
}

TEST_CASE("a session of many tests on identical code alarms no more often than promised", "[compare]") {
  // Of 10 tests with 12 blocks only all twelve above zero pass: 10 / 4096 = 0.24 % of sessions; else 18 % would alarm.
  Noise noise(21);
  int sessions_with_alarm = 0;
  for (int repetition = 0; repetition < 1000; ++repetition) {
    Session session;
    session.controls.push_back({"0", "decode", kSame});
    for (int i = 0; i < 10; ++i) session.compared.push_back({std::to_string(i), "decode", noise.blocks(12, 0, 10)});
    sessions_with_alarm += !to_confirm(judge_session(session)).empty();
  }
  CHECK(sessions_with_alarm <= 9);  // 2.4 on average; the promise is 25
  CHECK(sessions_with_alarm >= 1);
}

TEST_CASE("5 % is found after confirmation, with this kind of machine's noise, and identical code never", "[compare]") {
  // Paired on a shared two-core machine, identical code was off by 0.4 % in CPU time: so much for what shifts a session,
  // and 1 % from block to block.
  Noise noise(31);
  const auto measured = [&](double effect) { return noise.blocks(12, effect + 0.004 * noise.normal(), 0.01); };
  std::vector<AaEffect> recorded;
  for (int session = 0; session < 60; ++session)
    recorded.push_back({"here", "decode", effect_of(measured(0)).log_ratio});
  const Margin margin = margin_of(recorded, "here", "decode");

  const double planted = GENERATE(0.0, 0.05, 0.10);
  int regressed = 0, equivalent = 0;
  for (int repetition = 0; repetition < 600; ++repetition) {
    const auto judged_once = [&] {
      return judge_session(
          {{{"a", "decode", measured(std::log1p(planted))}}, {{"a", "decode", measured(0)}}, {{"decode", margin}}});
    };
    auto judged = judged_once();
    if (!to_confirm(judged).empty()) judged = confirm(judged, judged_once());
    regressed += gate(judged) == Verdict::regressed;
    equivalent += judged[0].verdict == Verdict::equivalent;
  }
  CAPTURE(planted, margin.share, regressed, equivalent);
  if (planted == 0) {
    CHECK(regressed == 0);
    CHECK(equivalent >= 540);
  } else {
    CHECK(regressed >= 594);
    CHECK(equivalent == 0);
  }
}

TEST_CASE("a session with a hole or a double is refused", "[compare]") {
  CHECK_THROWS_WITH(judge_session(one_test({})), "judge_session: decode of a has no blocks");
  CHECK_THROWS_WITH(judge_session(one_test(kSame, {})), "judge_session: the control decode of a has no blocks");
  Session twice = one_test(kSame);
  twice.compared.push_back(twice.compared[0]);
  CHECK_THROWS_WITH(judge_session(twice), "judge_session: decode of a is given twice");
}
