#include "harness/verify/choice.h"

#include <algorithm>
#include <cmath>

#include "tests/support/catch.h"

using namespace kvproof;

namespace {

using Logits = std::vector<double>;

SamplerSettings settings_of(double temperature, std::optional<int64_t> top_k = {}) {
  SamplerSettings settings;
  settings.temperature = temperature;
  settings.top_k = top_k;
  settings.seed = 5;
  return settings;
}

/// Logits whose scores at row 0, step 0 and temperature 1 are the given ones.
Logits with_scores(const Logits& scores) {
  Logits logits;
  for (TokenId t = 0; t < static_cast<TokenId>(scores.size()); ++t)
    logits.push_back(scores[t] - gumbel_noise(5, 0, 0, t));
  return logits;
}

}  // namespace

TEST_CASE("greedy takes the largest logit, the lowest id on ties") {
  CHECK(chosen_token(settings_of(0), Logits{1, 3, 3, 2}, 0, 0) == 1);
  CHECK(chosen_token(settings_of(0, 1), Logits{1, 3, 3, 2}, 0, 0) == 1);
}

TEST_CASE("sampling takes the largest score among the candidates") {
  const Logits logits = with_scores({0.0, 9.0, 5.0});
  CHECK(chosen_token(settings_of(1), logits, 0, 0) == 1);
  // With one candidate left it is the largest logit, whatever the noise.
  const auto largest = static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  CHECK(chosen_token(settings_of(1, 1), logits, 0, 0) == largest);
}

TEST_CASE("top_k leaves exactly k tokens, ties by lowest id; zero, none and more than all leave everything") {
  const Logits logits = {4, 1, 3, 3, 2};
  using Kept = std::vector<bool>;
  CHECK(candidates(settings_of(1, 1), logits) == Kept{true, false, false, false, false});
  CHECK(candidates(settings_of(1, 2), logits) == Kept{true, false, true, false, false});
  CHECK(candidates(settings_of(1, 3), logits) == Kept{true, false, true, true, false});
  CHECK(candidates(settings_of(1, 4), logits) == Kept{true, false, true, true, true});
  for (const auto& top_k :
       {std::optional<int64_t>(), std::optional<int64_t>(0), std::optional<int64_t>(5), std::optional<int64_t>(99)}) {
    CHECK(candidates(settings_of(1, top_k), logits) == Kept(5, true));
  }
  CHECK(candidates(settings_of(0, 1), logits) == Kept(5, true));
}

TEST_CASE("a tie at the last place, broken by id on one path and by rounding on the other, is explained") {
  const double e = 1e-3;  // bfloat16 ties are common
  const Logits naive = {3.0, 1.0, 1.0}, engine = {3.0, 1.0 - e, 1.0}, reference = {3.0, 1.0, 1.0};
  CHECK(flip_margin(settings_of(1, 2), {naive, engine, reference, {}}, 0, 0, 0, 2)
            .explained());  // 2: by id no candidate of naive
  CHECK(flip_margin(settings_of(1, 2), {naive, engine, reference, {}}, 0, 0, 1, 0).explained());
}

TEST_CASE("the margin of a greedy flip is in logits") {
  const Logits naive = {1.0, 1.1}, engine = {1.3, 1.2}, reference = {1.0, 1.25};
  const Margin margin = flip_margin(settings_of(0), {naive, engine, reference, {}}, 0, 0, 1, 0);
  CHECK(margin.margin == Approx(0.25));
  CHECK(margin.allowed == Approx((0.0 + 0.15) + (0.3 + 0.05)));
  CHECK(margin.explained());
}

TEST_CASE("a token that top_k left out on one path only is judged by its distance to what took its place") {
  // Token 2 has a huge score; on the engine rounding lets token 1 pass it as the second of two candidates.
  const double e = 1e-7;
  const Logits naive = {3.0, 1.0, 1.0 + e}, engine = {3.0, 1.0 + e, 1.0}, reference = {3.0, 1.0, 1.0 + e};
  const Margin margin = flip_margin(settings_of(1, 2), {naive, engine, reference, {}}, 0, 0, 2, 0);
  CHECK(margin.margin == Approx(e).epsilon(1e-5));
  CHECK(margin.allowed == Approx(2 * e).epsilon(1e-5));
  CHECK(margin.explained());
}

TEST_CASE("a token left out by far is not explained, whichever path left it out") {
  const Logits logits = {3.0, 2.0, 1.0};  // top_k 2 leaves tokens 0 and 1
  const FlipEvidence evidence{logits, logits, logits, {}, {}};
  const Margin engine_wrong = flip_margin(settings_of(1, 2), evidence, 0, 0, 0, 2);
  CHECK(engine_wrong.margin == Approx(1.0));
  CHECK_FALSE(engine_wrong.explained());
  CHECK_FALSE(flip_margin(settings_of(1, 2), evidence, 0, 0, 2, 0).explained());
}

TEST_CASE("two tokens left out, one on each path, must both be explained") {
  const double e = 1e-7;
  // Naive: candidates 0 and 1. Engine: 0 and 2; token 1 fell out by rounding, but token 2 was 0.5 away on the naive path.
  const Logits naive = {3.0, 1.0, 0.5}, engine = {3.0, 1.0 - e, 1.0}, reference = {3.0, 1.0, 0.5};
  const Margin margin = flip_margin(settings_of(1, 2), {naive, engine, reference, {}}, 0, 0, 1, 2);
  // The engine's own error of 0.5 explains it here; that such an error is a fault is the gate's business.
  CHECK(margin.margin == Approx(0.5));
  CHECK(margin.allowed == Approx(0.5 + e).epsilon(1e-9));
}
