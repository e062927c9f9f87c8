#include "harness/report/trend_table.h"

#include <sstream>

#include "harness/error.h"
#include "harness/report/text.h"
#include "tests/harness/report/trend.h"
#include "tests/support/catch.h"

using namespace kvproof;
using Catch::Matchers::Contains;
using testing::sample_trend;
using testing::sample_trend_against;

TEST_CASE("a trend's table names each step by the commits it lies between", "[report][trend]") {
  CHECK(render_trend_table(sample_trend(), false, 120) ==
        R"(results/history.jsonl: 28 lines of 14 records
Held: the newest stretch of points against the one before its last step; changes below 2 % are none.
Without points: 1 line of cases that failed, 2 lines of cases that were INVALID.

demo/tool (pp14 tg15)
  engine.tpot_ns      12 points, 2026-11-01 … 2026-11-12; machine f17ce5b7a363c97f
    ▁▁▁▁▁▁▁▁████  1.052 ms
    step: 5.0 % slower near commit 08cccccc of 2026-11-09 (the run before was 07cccccc of 2026-11-08): 1.001 ms before,
          1.051 ms since, p = 2.5e-12
    SLOWER: 5.0 % slower since the last step
  engine.tpot_ns      2 points, 2026-11-01 … 2026-11-02; machine 0123456789abcdef; past: newer points are of another
                      machine, workload or build
    ▁█  1.001 ms
    TOO FEW: 2 of the 6 points that a step needs

1 SLOWER. A history says where to look: runs of different days share nothing that could be paired. kvproof compare
measures two programs side by side.
)");
}

TEST_CASE("a trend's table says how the newest points stand beside a release", "[report][trend]") {
  const std::string table = render_trend_table(sample_trend_against(), false, 120);
  CHECK_THAT(table, Contains("Held: the newest points against those of release v1.0; "));
  CHECK_THAT(
      table,
      Contains(
          "SLOWER: 5.0 % slower than release v1.0 (1.001 ms then, 1.051 ms over the newest 4 points), p = 3.1e-07\n"));
  CHECK_THAT(table, Contains("TOO FEW: 2 of 3 points of release v1.0: run its commit again\n"));
}

TEST_CASE("a trend's table fits its terminal, and colours change no word", "[report][trend]") {
  for (const int width : {80, 120, 200}) {
    const std::string plain = render_trend_table(sample_trend(), false, width);
    std::istringstream in(plain);
    for (std::string line; std::getline(in, line);) CHECK(display_width(line) <= width);
    std::string coloured = render_trend_table(sample_trend(), true, width);
    CHECK(coloured != plain);
    for (std::size_t at; (at = coloured.find('\x1b')) != std::string::npos;)
      coloured.erase(at, coloured.find('m', at) - at + 1);
    CHECK(coloured == plain);
  }
}

TEST_CASE("an empty history has a table, too, and half a line is told", "[report][trend]") {
  Json trend = sample_trend();
  trend["series"] = Json::array();
  trend["unfinished"] = 7;
  const std::string table = render_trend_table(trend, false, 200);
  CHECK_THAT(table, Contains("no points. A history says"));
  CHECK_THAT(table, Contains("Line 7 is half a line, whose writer was ended: it is passed over."));
}

TEST_CASE("nothing of a trend is obeyed by a terminal, and a damaged one names its field", "[report][trend]") {
  Json trend = sample_trend();
  const std::string evil = "x\x1b[2J\r\nerror: none";
  for (const char* pointer :
       {"/history", "/series/0/case", "/series/0/shape", "/series/0/fingerprint", "/series/0/metric", "/series/0/build",
        "/series/0/steps/0/after/commit", "/series/1/reason", "/series/0/points/0/started"})
    trend[Json::json_pointer(pointer)] = evil;
  const std::string table = render_trend_table(trend, false, 120);
  CHECK(table.find('\x1b') == std::string::npos);
  CHECK(table.find('\r') == std::string::npos);
  CHECK(table.find("\nerror:") == std::string::npos);

  trend = sample_trend();
  trend["series"][0]["steps"][0].erase("p");
  CHECK_THROWS_WITH(render_trend_table(trend, false, 120), Contains("/series/0/steps/0/p"));
  trend = sample_trend();
  trend["series"][1]["points"] = Json::array();
  CHECK_THROWS_WITH(render_trend_table(trend, false, 120), Contains("/series/1/points: expected points, found none"));
}
