#include "harness/verify/agreement.h"

#include <cmath>
#include <limits>
#include <stdexcept>

#include "tests/support/catch.h"

using namespace kvproof;

namespace {

using Logits = std::vector<double>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TokenStream sampled(std::vector<TokenId> tokens) {
  std::vector<int> masks(tokens.size(), 1);
  return {std::move(tokens), std::move(masks)};
}

SamplerSettings greedy() {
  SamplerSettings settings;
  settings.temperature = 0;
  return settings;
}

/// One position at row 0 with the given logits.
void add(AgreementJudge& judge, std::optional<int64_t> step, const Logits& naive, const Logits& engine,
         const Logits& reference, const Logits& exact = {}, const Logits& logic = {}) {
  JudgedPosition position;
  position.step = step;
  position.naive = naive;
  position.engine = engine;
  position.reference = reference;
  position.naive_taken = exact;
  position.logic_engine = logic;
  judge.add(position);
}

AgreementJudge judge_of(const TokenStream& naive, const TokenStream& engine, const std::string& dtype = "float32") {
  return AgreementJudge({greedy(), dtype}, {naive}, {engine});
}

}  // namespace

TEST_CASE("equal tokens and logits within rounding agree, and the numbers are those done by hand") {
  AgreementJudge judge = judge_of(sampled({0, 1}), sampled({0, 1}));
  add(judge, 0, {2.0, 0.0}, {2.0, 0.0}, {2.0, 0.0});
  add(judge, 1, {0.0, 1.0 + 1e-6}, {0.0, 1.0 - 1e-6}, {0.0, 1.0});
  const Agreement a = judge.verdict();
  CHECK(a.verdict == Verdict::agree);
  CHECK(a.explanation == "all tokens are equal and the logits differ by no more than rounding");
  CHECK(a.rows == 1);
  CHECK(a.identical_rows == 1);
  CHECK(a.flips == 0);
  CHECK_FALSE(a.first_divergence);
  REQUIRE(a.logits);
  CHECK(a.logits->positions == 2);
  CHECK(a.logits->max_abs == Approx(2e-6).epsilon(1e-9));
  CHECK(a.logits->same_top1 == 1);
  // The floor, 8 · 2^-23 · 2, is larger than the naive path's error of 1e-6.
  CHECK(a.logits->error_ratio == Approx(1e-6 / (8 * std::pow(2.0, -23) * 2)).epsilon(1e-6));
  // KL between softmax(0, x) and softmax(0, x - d) is p(1-p) d² / 2 for small d.
  const double p = 1 / (1 + std::exp(-1.0));
  CHECK(a.logits->kl_max == Approx(p * (1 - p) * 4e-12 / 2).epsilon(1e-3));
  CHECK(a.logits->kl_mean == Approx(a.logits->kl_max / 2));
}

TEST_CASE("KL is naive against engine, by hand on two tokens") {
  AgreementJudge judge = judge_of(sampled({0}), sampled({0}));
  add(judge, 0, {std::log(0.75), std::log(0.25)}, {std::log(0.5), std::log(0.5)}, {std::log(0.75), std::log(0.25)});
  CHECK(judge.verdict().logits->kl_max == Approx(0.75 * std::log(1.5) + 0.25 * std::log(0.5)));
}

TEST_CASE("a flip within the errors of both paths is a tie") {
  AgreementJudge judge = judge_of(sampled({0, 5}), sampled({1, 6}));
  // The reference has the two tokens 1e-6 apart; naive is off by nothing, the engine by 0.8e-6 at each of the two.
  add(judge, 0, {1.0 + 1e-6, 1.0}, {1.0 + 0.2e-6, 1.0 + 0.8e-6}, {1.0 + 1e-6, 1.0});
  const Agreement a = judge.verdict();
  CHECK(a.verdict == Verdict::tie);
  CHECK(a.explanation == "1 of 1 rows differ, each first where two tokens were closer than the rounding errors");
  CHECK(a.flips == 1);
  CHECK(a.identical_rows == 0);
  REQUIRE(a.first_divergence);
  CHECK(a.first_divergence->step == 0);
  CHECK(a.first_divergence->naive_token == 0);
  CHECK(a.first_divergence->engine_token == 1);
  CHECK(*a.first_divergence->margin == Approx(1e-6).epsilon(1e-6));
  CHECK(*a.first_divergence->allowed == Approx(1.6e-6).epsilon(1e-6));
}

TEST_CASE("a flip that the errors do not explain is a disagreement though the logits pass") {
  // What a generation-level fault looks like: the right logits, another token.
  AgreementJudge judge = judge_of(sampled({0}), sampled({1}));
  add(judge, 0, {2.0, 1.0}, {2.0 + 1e-7, 1.0}, {2.0, 1.0});
  const Agreement a = judge.verdict();
  CHECK(a.verdict == Verdict::disagree);
  CHECK(a.explanation ==
        "row 0, step 0: naive took token 0, the engine 1; the reference has them 1 apart, the errors explain 1e-07");
}

TEST_CASE("a broken cache cannot excuse its flip with its own errors") {
  // margin 1 <= allowed 2.4, for the engine is that wrong; R says so.
  AgreementJudge judge = judge_of(sampled({0}), sampled({1}));
  add(judge, 0, {2.0, 1.0}, {0.8, 2.2}, {2.0, 1.0});
  const Agreement a = judge.verdict();
  CHECK(*a.first_divergence->margin < *a.first_divergence->allowed);
  CHECK(a.verdict == Verdict::disagree);
  CHECK_THAT(a.explanation, Catch::Matchers::Contains(
                                "the engine's logits are off by 1.2, 6.29e+05 times what float32 rounding does"));
}

TEST_CASE("a wrong logit at one position is a disagreement even where every token is equal") {
  AgreementJudge judge = judge_of(sampled({0, 0}), sampled({0, 0}));
  add(judge, 0, {2.0, 1.0}, {2.0, 1.0}, {2.0, 1.0});
  add(judge, 1, {2.0, 1.0}, {2.0, 1.0001}, {2.0, 1.0});
  const Agreement a = judge.verdict();
  CHECK(a.verdict == Verdict::disagree);
  CHECK(a.logits->same_top1 == 1);
}

TEST_CASE("the float32 gate is at eight times the floor") {
  const double floor = 8 * std::pow(2.0, -23) * 2;  // of logits up to 2
  for (const auto& [factor, verdict] : {std::pair(7.9, Verdict::agree), std::pair(8.1, Verdict::disagree)}) {
    AgreementJudge judge = judge_of(sampled({0}), sampled({0}));
    add(judge, 0, {2.0, 1.0}, {2.0, 1.0 + factor * floor}, {2.0, 1.0});
    CAPTURE(factor);
    CHECK(judge.verdict().verdict == verdict);
    CHECK(judge.verdict().logits->error_ratio == Approx(factor).epsilon(1e-6));
  }
}

TEST_CASE("the naive path's own error widens the gate, not only the floor") {
  AgreementJudge judge = judge_of(sampled({0}), sampled({0}));
  add(judge, 0, {2.0 + 1e-4, 1.0}, {2.0, 1.0 + 7e-4}, {2.0, 1.0});
  CHECK(judge.verdict().verdict == Verdict::agree);
  CHECK(judge.verdict().logits->error_ratio == Approx(7.0).epsilon(1e-6));
}

TEST_CASE("float64 allows 1e-10 of the largest logit and no more") {
  for (const auto& [difference, verdict] : {std::pair(0.9e-9, Verdict::agree), std::pair(1.1e-9, Verdict::disagree)}) {
    AgreementJudge judge = judge_of(sampled({0}), sampled({0}), "float64");
    add(judge, 0, {10.0, 1.0}, {10.0, 1.0 + difference}, {10.0, 1.0});
    CAPTURE(difference);
    CHECK(judge.verdict().verdict == verdict);
  }
  AgreementJudge small = judge_of(sampled({0}), sampled({0}), "float64");  // below 1 the bound stays at 1e-10
  add(small, 0, {0.1, 0.0}, {0.1, 0.9e-10}, {0.1, 0.0});
  CHECK(small.verdict().verdict == Verdict::agree);
}

TEST_CASE("in bfloat16 the same code in float64 decides about logic") {
  AgreementJudge judge = judge_of(sampled({0}), sampled({0}), "bfloat16");
  add(judge, 0, {2.01, 1.0}, {2.0, 1.01}, {2.0, 1.0}, {}, {2.0, 1.00001});  // the cached float64 run is off by 1e-5
  const Agreement a = judge.verdict();
  CHECK(a.verdict == Verdict::disagree);
  CHECK(a.explanation == "the same code in float64 differs by 1e-05, 2e-10 is allowed: the cache changes the result");

  AgreementJudge fine = judge_of(sampled({0}), sampled({0}), "bfloat16");
  add(fine, 0, {2.01, 1.0}, {2.0, 1.01}, {2.0, 1.0}, {}, {2.0, 1.0 + 1e-14});
  CHECK(fine.verdict().verdict == Verdict::agree);
}

TEST_CASE("logits that are not finite are a disagreement that says which path and where") {
  const auto [naive, engine, reference, text] = GENERATE(table<double, double, double, std::string>(
      {{1.0, kNaN, 1.0, "the engine path's logits are not finite at row 0, step 1"},
       {kNaN, 1.0, 1.0, "the naive path's logits are not finite at row 0, step 1"},
       {1.0, 1.0, std::numeric_limits<double>::infinity(),
        "the float64 reference path's logits are not finite at row 0, step 1"}}));
  AgreementJudge judge = judge_of(sampled({0, 1}), sampled({0, 1}));
  add(judge, 0, {2.0, 1.0}, {2.0, 1.0}, {2.0, 1.0});
  add(judge, 1, {0.0, naive}, {0.0, engine}, {0.0, reference});
  const Agreement a = judge.verdict();
  CHECK(a.verdict == Verdict::disagree);
  CHECK(a.explanation == text);
  CHECK_FALSE(a.logits);
}

TEST_CASE("after a tie the rest is judged on the naive stream, and a flip there counts") {
  AgreementJudge judge = judge_of(sampled({0, 0, 0}), sampled({1, 0, 1}));
  const double e = 1e-7;
  add(judge, 0, {1.0 + e, 1.0}, {1.0, 1.0 + e}, {1.0, 1.0});
  add(judge, 1, {2.0, 1.0}, {2.0, 1.0}, {2.0, 1.0});
  add(judge, 2, {1.0 + e, 1.0}, {1.0, 1.0 + e}, {1.0, 1.0});
  const Agreement a = judge.verdict();
  CHECK(a.verdict == Verdict::tie);
  CHECK(a.flips == 2);
  CHECK(a.first_divergence->step == 0);
}

TEST_CASE("a replayed flip alone leaves the verdict at AGREE and is told") {
  AgreementJudge judge = judge_of(sampled({0}), sampled({0}));
  add(judge, 0, {1.0 + 1e-7, 1.0}, {1.0, 1.0 + 1e-7}, {1.0, 1.0});
  const Agreement a = judge.verdict();
  CHECK(a.verdict == Verdict::agree);
  CHECK(a.flips == 1);
  CHECK(a.explanation == "all tokens are equal; replayed on equal tokens, rounding flips 1");
}

TEST_CASE("at a forced step nothing was chosen, so nothing can flip") {
  const TokenStream forced{{0}, {0}};
  AgreementJudge judge({greedy(), "float32"}, {forced}, {forced});
  add(judge, 0, {1.0 + 1e-7, 1.0}, {1.0, 1.0 + 1e-7}, {1.0, 1.0});
  CHECK(judge.verdict().flips == 0);
  CHECK(judge.verdict().logits->positions == 1);
}

TEST_CASE("the exact forward's error counts where the tokens part") {
  // Over the longer sequence the naive path shows no error; over exactly these tokens it does, and that one chose.
  AgreementJudge judge = judge_of(sampled({1}), sampled({0}));
  add(judge, 0, {1.0 + 1e-7, 1.0}, {1.0 + 1e-7, 1.0}, {1.0 + 1e-7, 1.0}, {1.0, 1.0 + 1e-7});
  const Agreement a = judge.verdict();
  CHECK(a.verdict == Verdict::tie);
  CHECK(*a.first_divergence->margin == Approx(1e-7).epsilon(1e-6));
  CHECK(*a.first_divergence->allowed == Approx(2e-7).epsilon(1e-6));
}

TEST_CASE("streams that are equal but for their length disagree") {
  AgreementJudge judge = judge_of(sampled({0, 0}), sampled({0}));
  add(judge, 0, {1.0, 0.0}, {1.0, 0.0}, {1.0, 0.0});
  add(judge, 1, {1.0, 0.0}, {1.0, 0.0}, {1.0, 0.0});
  const Agreement a = judge.verdict();
  CHECK(a.verdict == Verdict::disagree);
  CHECK(a.explanation == "row 0, step 1: naive took token 0, the engine nothing, it had ended");
  CHECK(a.first_divergence->naive_token == 0);
  CHECK_FALSE(a.first_divergence->engine_token);
}

TEST_CASE("a divergence whose logits nobody gave is not excused") {
  AgreementJudge judge = judge_of(sampled({0, 0}), sampled({0, 1}));
  add(judge, 0, {1.0, 0.0}, {1.0, 0.0}, {1.0, 0.0});
  const Agreement a = judge.verdict();
  CHECK(a.verdict == Verdict::disagree);
  CHECK(a.explanation == "row 0, step 1: the paths took different tokens and the logits there were not compared");
}

TEST_CASE("without logits nothing is verified, but tokens are counted") {
  const AgreementJudge judge({greedy(), "float32"}, {sampled({0}), sampled({3, 4})}, {sampled({0}), sampled({3, 5})});
  const Agreement a = judge.verdict();
  CHECK(a.verdict == Verdict::unverified);
  CHECK(a.explanation == "the logits were not compared: run.verify is off; 1 of 2 rows have equal tokens");
  CHECK(a.identical_rows == 1);
  CHECK(a.first_divergence->row == 1);
  CHECK(a.first_divergence->step == 1);
}

TEST_CASE("the first divergence is the earliest step of all rows") {
  const AgreementJudge judge({greedy(), "float32"}, {sampled({0, 1, 2}), sampled({0, 1, 2}), sampled({0, 1, 2})},
                             {sampled({0, 1, 3}), sampled({0, 2, 2}), sampled({0, 3, 2})});
  CHECK(judge.verdict().first_divergence->row == 1);
  CHECK(judge.verdict().first_divergence->step == 1);
  CHECK(judge.divergences().size() == 3);
}

TEST_CASE("a sampled flip is judged by scores: logits over temperature, with the step's noise") {
  SamplerSettings settings;
  settings.temperature = 0.5;
  settings.seed = 7;
  const auto noise = [](TokenId token) { return gumbel_noise(7, 0, 3, token); };
  // Logits that make the two scores equal up to 1e-6, whatever the noise is.
  const double second = 0.5 * (1.0 / 0.5 + noise(0) - noise(1));
  const Logits reference = {1.0, second - 0.5e-6};
  AgreementJudge judge({settings, "float32"}, {sampled({9, 9, 9, 0})}, {sampled({9, 9, 9, 1})});
  add(judge, 3, reference, {1.0 - 0.4e-6, second + 0.2e-6}, reference);
  const Agreement a = judge.verdict();
  CHECK(a.verdict == Verdict::tie);
  CHECK(*a.first_divergence->margin == Approx(1e-6).epsilon(1e-5));         // 0.5e-6 / 0.5
  CHECK(*a.first_divergence->allowed == Approx(2 * 1.1e-6).epsilon(1e-5));  // (0.4 + 0.7)e-6 / 0.5
}

TEST_CASE("a sampled flip with a large score margin disagrees though the logits are near") {
  SamplerSettings settings;
  settings.temperature = 1;
  settings.seed = 7;
  const Logits equal = {1.0, 1.0};  // near as logits; the noise decides
  const bool first = gumbel_noise(7, 0, 0, 0) > gumbel_noise(7, 0, 0, 1);
  const TokenId right = first ? 0 : 1, wrong = first ? 1 : 0;
  AgreementJudge judge({settings, "float32"}, {sampled({right})}, {sampled({wrong})});
  add(judge, 0, equal, equal, equal);
  CHECK(judge.verdict().verdict == Verdict::disagree);
}

TEST_CASE("nanochat's sampling is judged by logits alone, and the explanation says so") {
  SamplerSettings settings;
  settings.temperature = 1;
  settings.mode = SamplerMode::nanochat;
  const Logits logits = {1.0, 0.5};
  settings.top_k = 2;
  AgreementJudge with_top_k({settings, "float32"}, {sampled({0})}, {sampled({1})});
  add(with_top_k, 0, logits, logits, logits);
  CHECK(with_top_k.verdict().verdict == Verdict::agree);
  CHECK(with_top_k.verdict().explanation ==
        "nanochat's two procedures draw different tokens from equal logits when top_k is set: the logits alone were "
        "judged");
  CHECK(with_top_k.verdict().identical_rows == 0);

  settings.top_k.reset();
  AgreementJudge without({settings, "float32"}, {sampled({0})}, {sampled({1})});
  add(without, 0, logits, logits, logits);
  CHECK(without.verdict().verdict == Verdict::tie);
  CHECK(without.verdict().explanation ==
        "tokens differ; nanochat's sampling gives them no margin to be judged by: the logits alone were judged");

  AgreementJudge broken({settings, "float32"}, {sampled({0})}, {sampled({1})});
  add(broken, 0, logits, {1.0, 0.6}, logits);
  CHECK(broken.verdict().verdict == Verdict::disagree);

  settings.temperature = 0;  // greedy has a score in either mode
  AgreementJudge greedy_mode({settings, "float32"}, {sampled({0})}, {sampled({1})});
  add(greedy_mode, 0, logits, logits, logits);
  CHECK(greedy_mode.verdict().verdict == Verdict::disagree);
}

TEST_CASE("positions inside the prompt count as logits, not as choices") {
  AgreementJudge judge = judge_of(sampled({0}), sampled({0}));
  add(judge, 0, {1.0, 0.0}, {1.0, 0.0}, {1.0, 0.0});
  add(judge, std::nullopt, {1.0 + 1e-7, 1.0}, {1.0, 1.0 + 1e-7}, {1.0, 1.0});
  CHECK(judge.verdict().logits->positions == 2);
  CHECK(judge.verdict().logits->same_top1 == 0.5);
  CHECK(judge.verdict().flips == 0);
  add(judge, std::nullopt, {1.0, 1.0}, {1.0, kNaN}, {1.0, 1.0});
  CHECK(judge.verdict().explanation == "the engine path's logits are not finite at row 0, inside the prompt");
}

TEST_CASE("models whose logits are all zero give numbers, not divisions by zero") {
  AgreementJudge judge = judge_of(sampled({0}), sampled({0}));
  add(judge, 0, {0.0, 0.0}, {0.0, 0.0}, {0.0, 0.0});
  CHECK(judge.verdict().verdict == Verdict::agree);
  CHECK(judge.verdict().logits->error_ratio == 0);
  add(judge, 0, {0.0, 0.0}, {0.0, 1.0}, {0.0, 0.0});
  CHECK(judge.verdict().verdict == Verdict::disagree);
  CHECK(std::isfinite(judge.verdict().logits->error_ratio));
}

TEST_CASE("logits of unequal length are refused") {
  AgreementJudge judge = judge_of(sampled({0}), sampled({0}));
  CHECK_THROWS_AS(add(judge, 0, {1.0, 0.0}, {1.0}, {1.0, 0.0}), std::invalid_argument);
  CHECK_THROWS_AS(add(judge, 0, {}, {}, {}), std::invalid_argument);
  CHECK_THROWS_AS(add(judge, 0, {1.0, 0.0}, {1.0, 0.0}, {1.0, 0.0}, {1.0}), std::invalid_argument);
  CHECK_THROWS_AS(AgreementJudge({greedy(), "float32"}, {sampled({0})}, {}), std::invalid_argument);
}
