#include "harness/analysis/step_curve.h"

#include "tests/support/catch.h"

using namespace kvproof;

namespace {

// A case of two paths; each sample is a list of gaps.
Json stepped_case(const Json& naive, const Json& engine, int prompt = 10) {
  const auto samples = [](const Json& gaps) {
    Json list = Json::array();
    for (const Json& one : gaps) list.push_back({{"itl_ns", one}});
    return Json{{"samples", list}};
  };
  return {{"shape", {{"P", prompt}}}, {"paths", {{"naive", samples(naive)}, {"engine", samples(engine)}}}};
}

}  // namespace

TEST_CASE("a curve has the median of each step, from the prompt's length on", "[analysis]") {
  const Json one = stepped_case({{1, 2}}, {{1, 10, 7}, {3, 30, 7}, {2, 90, 7}});
  const StepCurve curve = step_curve(View(one), "engine");
  CHECK(curve.depth == std::vector<double>{10, 11, 12});
  CHECK(curve.ns == std::vector<double>{2, 30, 7});
  CHECK(step_curve(View(one), "naive").ns == std::vector<double>{1, 2});
}

TEST_CASE("tokens that were in the cache beforehand count as depth", "[analysis]") {
  Json one = stepped_case({{1, 2}}, {{1, 2}});
  one["shape"]["depth"] = 500;
  CHECK(step_curve(View(one), "engine").depth == std::vector<double>{510, 511});
}

TEST_CASE("a curve ends with its shortest sample; without samples it is empty", "[analysis]") {
  const Json one = stepped_case(Json::array(), {{1, 2, 3}, {1, 2}});
  CHECK(step_curve(View(one), "engine").size() == 2);
  CHECK(step_curve(View(one), "naive").size() == 0);
  CHECK_FALSE(line_through(step_curve(View(one), "naive")));
}

TEST_CASE("parts cover all steps, and a short curve has as many parts as steps", "[analysis]") {
  StepCurve curve;
  for (int i = 0; i < 10; ++i) {
    curve.depth.push_back(i);
    curve.ns.push_back(i == 3 ? 1000 : i);
  }
  const StepCurve three = in_parts(curve, 3);
  CHECK(three.depth == std::vector<double>{1, 4, 7.5});  // 0 … 2, 3 … 5, 6 … 9
  CHECK(three.ns == std::vector<double>{1, 5, 7.5});
  CHECK(in_parts(curve, 50).depth == curve.depth);
  CHECK(in_parts({}, 4).size() == 0);
  CHECK_THROWS_AS(in_parts(curve, 0), std::invalid_argument);
}

TEST_CASE("the line's slope is the cost of one token more before a step", "[analysis]") {
  const Json one = stepped_case({{100, 110, 120, 990, 140, 150}}, Json::array(), 100);
  const auto line = line_through(step_curve(View(one), "naive"));
  REQUIRE(line);
  CHECK(line->slope == 10);
  CHECK(line->at(100) == 100);
}
