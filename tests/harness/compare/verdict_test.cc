#include "harness/compare/verdict.h"

#include <cmath>

#include "tests/harness/compare/numbers.h"

using namespace kvproof;
using namespace kvproof::compare;
using kvproof::testing::as_scipy;
using kvproof::testing::Noise;
using kvproof::testing::scipy;

namespace {

Effect effect(double log_ratio, double low, double high) {
  Effect made;
  made.log_ratio = log_ratio;
  made.low = low;
  made.high = high;
  made.blocks = 12;
  return made;
}

}  // namespace

TEST_CASE("a verdict goes by the interval and by the estimate", "[compare]") {
  struct Row {
    double m, low, high;
    Verdict verdict;
  };
  const double limit = Margin().log(), more = std::nextafter(limit, 1.0), less = std::nextafter(limit, 0.0);
  const auto row =
      GENERATE_COPY(Row{0.05, 0.001, 0.1, Verdict::regressed}, Row{more, more, more, Verdict::regressed},
                    Row{limit, 0.001, 0.1, Verdict::inconclusive},  // not beyond the margin
                    Row{0.05, 0, 0.1, Verdict::inconclusive},       // not above zero
                    Row{-0.05, -0.1, -0.001, Verdict::improved}, Row{-limit, -0.1, -0.001, Verdict::inconclusive},
                    Row{-0.05, -0.1, 0, Verdict::inconclusive}, Row{0, -less, less, Verdict::equivalent},
                    Row{0.01, 0.005, 0.015, Verdict::equivalent},  // surely slower, and surely by less than matters
                    Row{0, -limit, less, Verdict::inconclusive}, Row{0, -less, limit, Verdict::inconclusive},
                    Row{0, -0.1, 0.1, Verdict::inconclusive});
  CAPTURE(row.m, row.low, row.high);
  CHECK(judge(effect(row.m, row.low, row.high), Margin()) == row.verdict);
}

TEST_CASE("too few blocks for an interval are inconclusive, whatever they say", "[compare]") {
  CHECK(judge(effect_of(std::vector<double>(5, 0.5)), Margin()) == Verdict::inconclusive);
  CHECK(judge(effect_of(std::vector<double>(6, 0.5)), Margin()) == Verdict::regressed);
  CHECK(judge(effect_of(std::vector<double>(6, 0.0)), Margin()) == Verdict::equivalent);
}

TEST_CASE("the noise floor is NumPy's 95th percentile of what this machine showed of this metric", "[compare]") {
  for (const auto& row : scipy("noise_floors")) {
    std::vector<AaEffect> recorded;
    for (const double m : row["m"]) recorded.push_back({"here", "prefill", m});
    recorded.push_back({"elsewhere", "prefill", 5.0});
    recorded.push_back({"here", "decode", 5.0});
    const Margin margin = margin_of(recorded, "here", "prefill");
    REQUIRE(margin.noise_floor.has_value());
    CHECK(*margin.noise_floor == as_scipy(row["floor"]));
    CHECK(margin.share == std::max(0.02, 1.5 * *margin.noise_floor));
    CHECK(margin.recorded == static_cast<int64_t>(row["m"].size()));
  }
}

TEST_CASE("a margin is 2 % at least, and of few sessions the largest effect counts", "[compare]") {
  CHECK(margin_of({}, "here", "prefill").share == 0.02);
  CHECK_FALSE(margin_of({}, "here", "prefill").noise_floor.has_value());
  const std::vector<AaEffect> quiet = {{"here", "prefill", 0.003}, {"here", "prefill", -0.004}};
  CHECK(margin_of(quiet, "here", "prefill").share == 0.02);
  CHECK(*margin_of(quiet, "here", "prefill").noise_floor == 0.004);
  std::vector<AaEffect> loud(19, {"here", "prefill", 0.001});
  loud[7].log_ratio = -0.04;
  CHECK(margin_of(loud, "here", "prefill").share == Approx(0.06).epsilon(1e-14));
  CHECK(margin_of(loud, "here", "prefill").log() == Approx(std::log(1.06)).epsilon(1e-14));
}

TEST_CASE("identical code is called slower no more often than promised, whatever the noise", "[compare]") {
  // Noise so large that the margin protects nobody: 79 / 4096 = 1.93 % of sessions, 77.1 of 4000 with a deviation of 8.7.
  const bool heavy = GENERATE(false, true);
  Noise noise(11);
  int regressed = 0, improved = 0;
  for (int session = 0; session < 4000; ++session) {
    std::vector<double> d;
    for (int b = 0; b < 12; ++b) d.push_back(50 * (heavy ? noise.heavy() : noise.normal()));
    const Verdict verdict = judge(effect_of(d), Margin());
    regressed += verdict == Verdict::regressed;
    improved += verdict == Verdict::improved;
  }
  for (const int alarms : {regressed, improved}) {
    CHECK(alarms <= 77 + 26);
    CHECK(alarms >= 77 - 26);  // nor does the rule waste what it may use
  }
}

TEST_CASE("what is slower by the margin is seldom called equivalent", "[compare]") {
  Noise noise(12);
  int equivalent = 0;
  for (int session = 0; session < 4000; ++session)
    equivalent += judge(effect_of(noise.blocks(12, std::log(1.02), 0.008)), Margin()) == Verdict::equivalent;
  CHECK(equivalent <= 77 + 26);
  CHECK(equivalent >= 77 - 26);
}

TEST_CASE("every verdict has its word", "[compare]") {
  CHECK(word(Verdict::regressed) == "REGRESSED");
  CHECK(word(Verdict::improved) == "IMPROVED");
  CHECK(word(Verdict::equivalent) == "EQUIVALENT");
  CHECK(word(Verdict::inconclusive) == "INCONCLUSIVE");
  CHECK(word(Verdict::identical) == "IDENTICAL");
  CHECK(word(Verdict::changed) == "CHANGED");
  CHECK(word(Verdict::incomparable) == "INCOMPARABLE");
}
