#include "harness/report/html/trend.h"

#include <regex>

#include "harness/error.h"
#include "harness/report/html/embedded.h"
#include "tests/harness/report/html/page.h"
#include "tests/harness/report/trend.h"

using namespace kvproof;
using Catch::Matchers::Contains;
using testing::between;
using testing::count;
using testing::data_of;
using testing::our_part;
using testing::sample_trend;
using testing::sample_trend_against;

namespace {

// Without the library, which is not ours.
}  // namespace

TEST_CASE("the page of a trend brings all that it needs along", "[report][html][trend]") {
  const std::string page = render_trend_html(sample_trend()), ours = our_part(page);
  const FrameFiles files = frame_files();
  for (const std::string_view part : {files.style, files.parts, files.drawing, trend_files().script, files.chart_js})
    CHECK(page.find(part) != std::string::npos);
  CHECK(files.chart_js.find("sourceMappingURL") == std::string::npos);
  for (const char* way : {"http:", "https:", "://", "src=", "href", "url(", "@import", "import(", "fetch(", "<link",
                          "<img", "innerHTML", "eval("}) {
    CAPTURE(way);
    CHECK(ours.find(way) == std::string::npos);
  }
  CHECK(
      between(page, "http-equiv=\"Content-Security-Policy\" content=\"", "\"") ==
      "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'");
  CHECK(page.find("Content-Security-Policy") < page.find("<style>"));
}

TEST_CASE("each series has a plot of its own, its points, stretches and steps", "[report][html][trend]") {
  const std::string page = render_trend_html(sample_trend());
  const Json series = data_of(page)["series"];
  REQUIRE(series.size() == 2);
  CHECK(count(page, "<figure id=\"series-") == 2);
  CHECK(series[0]["points"].size() == 12);
  CHECK(series[0]["points"][8] == Json({{"ns", 1052000.0},
                                        {"low", 1047000.0},
                                        {"high", 1057000.0},
                                        {"commit", "08cccccc"},
                                        {"started", "2026-11-09T10:00:00Z"},
                                        {"release", nullptr}}));
  CHECK(series[0]["points"][11]["commit"] == "11cccccc+");
  CHECK(series[0]["points"][5]["low"].is_null());
  CHECK(series[0]["stretches"] ==
        Json::array({{{"from", 0}, {"to", 7}, {"ns", 1000875.0}}, {{"from", 8}, {"to", 11}, {"ns", 1050999.0}}}));
  CHECK(series[0]["steps"] == Json({8}));
  CHECK(series[0]["release"].is_null());
  CHECK(series[1]["points"].size() == 2);
}

TEST_CASE("what the plots show stands beside them in words", "[report][html][trend]") {
  const std::string page = render_trend_html(sample_trend());
  CHECK_THAT(between(page, "<section id=\"verdict\" class=\"bad\">", "</section>"), Contains("1 SLOWER. "));
  CHECK_THAT(page, Contains("<h2>demo/tool <small>pp14 tg15</small></h2>"));
  CHECK_THAT(
      page,
      Contains("<li>5.0 % slower near commit 08cccccc of 2026-11-09 (the run before was 07cccccc of 2026-11-08): "));
  CHECK_THAT(page, Contains("<p class=\"bad\">SLOWER: 5.0 % slower since the last step</p>"));
  CHECK_THAT(page, Contains("<p class=\"doubtful\">TOO FEW: 2 of the 6 points that a step needs</p>"));
  CHECK_THAT(page, Contains("machine 0123456789abcdef (Intel(R) Xeon(R) Platinum 8488C); past: "));
}

TEST_CASE("the release that is held against has its points and level", "[report][html][trend]") {
  const std::string page = render_trend_html(sample_trend_against());
  CHECK(data_of(page)["series"][0]["release"] == Json({{"tag", "v1.0"}, {"ns", 1001000.0}, {"points", {0, 1, 2}}}));
  CHECK_THAT(page, Contains("slower than release v1.0 (1.001 ms then"));
  Json damaged = sample_trend_against();
  damaged["series"][0]["release"]["points"][2] = 12;
  CHECK_THROWS_WITH(render_trend_html(damaged),
                    Contains("/series/0/release/points/2: expected the index of one of 12 points, found 12"));
}

TEST_CASE("no text of a history becomes markup", "[report][html][trend]") {
  const std::string evil =
      "</script></style><img src=x onerror=alert(1)><!-- <script>\" onload=\"x' &lt; \x1b\x01\u202e ]]> {{data}}";
  Json trend = sample_trend_against();
  for (const char* pointer :
       {"/history", "/against", "/verdict", "/series/0/case", "/series/0/shape", "/series/0/metric",
        "/series/0/workload", "/series/0/fingerprint", "/series/0/cpu_model", "/series/0/build", "/series/0/verdict",
        "/series/1/reason", "/series/0/steps/0/before/commit", "/series/0/steps/0/after/started",
        "/series/0/points/0/started", "/series/0/points/0/commit", "/series/0/points/0/release"}) {
    Json& at = trend[Json::json_pointer(pointer)];
    REQUIRE(at.is_string());
    at = evil;
  }
  const std::string page = render_trend_html(trend), ours = our_part(page);
  CHECK(page.find('\x1b') == std::string::npos);
  CHECK(ours.find("<img") == std::string::npos);
  CHECK(count(page, "</script") == 3);
  CHECK(count(ours, "<!--") == 0);
  CHECK(count(ours, "</style") == 1);
}

TEST_CASE("a history without points is a page, too", "[report][html][trend]") {
  Json trend = sample_trend();
  trend["series"] = Json::array();
  trend["verdict"] = "TOO FEW";
  const std::string page = render_trend_html(trend);
  CHECK_THAT(page, Contains("<p>No case has points: there is nothing to draw.</p>"));
  CHECK(data_of(page)["series"] == Json::array());
}
