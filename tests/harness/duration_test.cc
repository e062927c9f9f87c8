#include "harness/duration.h"

#include "harness/error.h"
#include "tests/support/catch.h"

using namespace kvproof;

TEST_CASE("durations are in words", "[harness]") {
  CHECK(duration_text(-1) == "0 s");
  CHECK(duration_text(0.001) == "0 s");
  CHECK(duration_text(0.042) == "0.042 s");
  CHECK(duration_text(0.4) == "0.4 s");
  CHECK(duration_text(7.25) == "7.2 s");
  CHECK(duration_text(9.96) == "10 s");
  CHECK(duration_text(59.4) == "59 s");
  CHECK(duration_text(59.6) == "1 min");
  CHECK(duration_text(300) == "5 min");
  CHECK(duration_text(310) == "5 min 10 s");
  CHECK(duration_text(3600) == "1 h");
  CHECK(duration_text(3725) == "1 h 2 min");
}

TEST_CASE("durations are read with their units, seconds without one", "[harness]") {
  CHECK(parse_duration("300", "--max-time") == 300);
  CHECK(parse_duration("2.5", "--max-time") == 2.5);
  CHECK(parse_duration("90s", "--max-time") == 90);
  CHECK(parse_duration("5min", "--max-time") == 300);
  CHECK(parse_duration(" 5 min ", "--max-time") == 300);
  CHECK(parse_duration("1h", "--max-time") == 3600);
  CHECK(parse_duration("1.5h", "--max-time") == 5400);
  CHECK(parse_duration("1h30min", "--max-time") == 5400);
  for (const double seconds : {0.5, 7.2, 59.0, 300.0, 310.0, 3600.0, 3720.0})
    CHECK(parse_duration(duration_text(seconds), "--max-time") == Approx(seconds));
}

TEST_CASE("what is no duration is refused with examples", "[harness]") {
  for (const char* text : {"",         " ",      "0",      "0s",      "-5",  "-5s",         "s",       "min",
                           "5m",       "5 days", "5S",     "1e3",     "nan", "inf",         "5,5",     "90s5min",
                           "5min5min", "5min 3", "3 5min", "300 300", "1e",  "99999999999", "999999h", "5s."}) {
    CAPTURE(text);
    CHECK_THROWS_WITH(
        parse_duration(text, "--max-time"),
        std::string("--max-time: must be a time above 0, such as 90s, 5min, 1h or 300 (seconds), got \"") + text +
            "\"");
  }
}
