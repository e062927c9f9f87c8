#include "harness/analysis/crossover.h"

#include <cmath>

#include "tests/support/catch.h"

using namespace kvproof;

namespace {

Json path_of(int64_t ttft, const std::vector<int64_t>& gaps) {
  return {{"samples", Json::array({{{"ttft_ns", ttft}, {"itl_ns", gaps}}})}};
}

Json one_case(const Json& naive, const Json& engine, const Json& ratio = nullptr, const Json& ceiling = nullptr) {
  return {{"shape", {{"P", 4}}},
          {"paths", {{"naive", naive}, {"engine", engine}}},
          {"speedup", {{"withheld", nullptr}, {"e2e", ratio}}},
          {"work", {{"ceiling", ceiling}}}};
}

}  // namespace

TEST_CASE("the engine pays from the token on at which its sum of times falls below naive's for good", "[analysis]") {
  // Sums: naive 10 20 30 40 50, engine 25 27 29 39 41: ahead at the third token, and from then on.
  const Json one = one_case(path_of(10, {10, 10, 10, 10}), path_of(25, {2, 2, 10, 2}));
  CHECK(crossover(View(one)).break_even == 3);
  // Ahead at the second, behind at the third, ahead at the fifth.
  const Json back = one_case(path_of(10, {10, 10, 10, 10}), path_of(15, {2, 14, 10, 2}));
  CHECK(crossover(View(back)).break_even == 5);
}

TEST_CASE("an engine that is never ahead has no break-even, one that always is has it at the first token",
          "[analysis]") {
  const Json behind = one_case(path_of(10, {10, 10}), path_of(11, {10, 10}));
  CHECK_FALSE(crossover(View(behind)).break_even);
  const Json ahead = one_case(path_of(10, {10, 10}), path_of(9, {10, 10}));
  CHECK(crossover(View(ahead)).break_even == 1);
}

TEST_CASE("growth is the line's slope, and the power with which the time grows", "[analysis]") {
  std::vector<int64_t> square, level;
  for (int64_t depth = 4; depth < 40; ++depth) {
    square.push_back(100 * depth * depth);
    level.push_back(700);
  }
  const Json one = one_case(path_of(1, square), path_of(1, level));
  const Crossover cross = crossover(View(one));
  REQUIRE(cross.naive->exponent);
  CHECK(std::abs(*cross.naive->exponent - 2) < 1e-9);
  CHECK(*cross.engine->exponent == 0);
  CHECK(cross.engine->line.slope == 0);
  CHECK(cross.engine->line.intercept == 700);
}

TEST_CASE("efficiency is the speed-up over what FLOPs allow, and absent where either is", "[analysis]") {
  const Json path = path_of(10, {10, 10});
  const Json one = one_case(path, path, {{"ratio", 8.0}}, 32.0), withheld = one_case(path, path, nullptr, 32.0);
  CHECK(crossover(View(one)).of_ceiling == 0.25);
  CHECK_FALSE(crossover(View(withheld)).of_ceiling);
  const Json unknown = one_case(path, path, {{"ratio", 8.0}});
  CHECK_FALSE(crossover(View(unknown)).of_ceiling);
}

TEST_CASE("a case of one token has no growth", "[analysis]") {
  const Json one = one_case(path_of(10, {}), path_of(9, {}));
  const Crossover cross = crossover(View(one));
  CHECK_FALSE(cross.naive);
  CHECK(cross.break_even == 1);
}

TEST_CASE("32 steps of both paths make a curve, one fewer of either does not", "[analysis]") {
  const std::vector<int64_t> many(32, 7), fewer(31, 7);
  const Json enough = one_case(path_of(1, many), path_of(1, many));
  const Json short_engine = one_case(path_of(1, many), path_of(1, fewer));
  const Json short_naive = one_case(path_of(1, fewer), path_of(1, many));
  CHECK(crossover(View(enough)).has_curve());
  CHECK_FALSE(crossover(View(short_engine)).has_curve());
  CHECK_FALSE(crossover(View(short_naive)).has_curve());
}

TEST_CASE("the figures of a curve are the line, the power, the break-even and the share of the ceiling", "[analysis]") {
  std::vector<int64_t> rising, level;
  for (int64_t depth = 4; depth < 36; ++depth) {
    rising.push_back(1000 + 10 * depth);
    level.push_back(700);
  }
  const Json one = one_case(path_of(500, rising), path_of(600, level), {{"ratio", 1.6}}, 32.0);
  const Crossover cross = crossover(View(one));
  const Json figures = figures_of(cross);
  CHECK(figures["naive"]["step_ns_at_zero"] == 1000);
  CHECK(figures["naive"]["step_ns_per_token"] == 10);
  CHECK(figures["naive"]["growth_exponent"] == *cross.naive->exponent);
  CHECK(figures["engine"] == Json({{"step_ns_at_zero", 700}, {"step_ns_per_token", 0}, {"growth_exponent", 0}}));
  CHECK(figures["break_even_tokens"] == 2);
  CHECK(figures["of_ceiling"] == 0.05);
}

TEST_CASE("without a curve there are no figures of growth, and the break-even stays", "[analysis]") {
  const Json one = one_case(path_of(10, {10, 10}), path_of(9, {10, 10}));
  const Json figures = figures_of(crossover(View(one)));
  for (const char* path : {"naive", "engine"})
    for (const char* figure : {"step_ns_at_zero", "step_ns_per_token", "growth_exponent"})
      CHECK(figures[path].at(figure).is_null());
  CHECK(figures["break_even_tokens"] == 1);
  CHECK(figures["of_ceiling"].is_null());
}

TEST_CASE("where the speed-up is withheld nobody is told when the engine pays", "[analysis]") {
  Json one = one_case(path_of(10, {10, 10}), path_of(9, {10, 10}));
  one["speedup"]["withheld"] = "the outputs disagree";
  const Crossover cross = crossover(View(one));
  CHECK(cross.withheld);
  CHECK(cross.break_even == 1);
  CHECK(figures_of(cross)["break_even_tokens"].is_null());
}
