// What proofs plant: how much is said in a word, and which faults there are.
#include "harness/measure/paired/planted.h"

#include "engine/error.h"
#include "tests/support/catch.h"

using namespace kvproof;
using Catch::Matchers::Contains;

TEST_CASE("planted work is two numbers, of a prefill and of a step", "[planted]") {
  const PlantedWork work = planted_work_of("3,40");
  CHECK(work.prefill == 3);
  CHECK(work.decode == 40);
  CHECK(planted_work_of("0,1000000").decode == 1'000'000);
}

TEST_CASE("planted work that is anything else is told", "[planted]") {
  const std::string text = GENERATE("", "5", "5,", ",5", "1;2", "1,2,3", "1, 2", "1,2 ", " 1,2", "-1,0", "0,-1",
                                    "0,1000001", "99999999999999999999,0", "1.5,2", "a,b");
  CAPTURE(text);
  CHECK_THROWS_AS(planted_work_of(text), ArgumentError);
  CHECK_THROWS_WITH(planted_work_of(text),
                    Contains("expected PREFILL,DECODE, two numbers from 0 to 1000000, found \"" + text + "\""));
}

TEST_CASE("a fault that nobody knows is told before a model is opened", "[planted]") {
  CHECK_THROWS_AS(planted({}, "no-such-fault"), ArgumentError);
  CHECK_THROWS_WITH(planted({}, "no-such-fault"),
                    Contains("there is no fault \"no-such-fault\"; kvproof verify --list-faults lists them"));
  CHECK_NOTHROW(planted({}, ""));
}
