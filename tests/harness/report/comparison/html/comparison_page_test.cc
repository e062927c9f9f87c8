#include "harness/report/comparison/html/comparison_page.h"

#include "harness/error.h"
#include "tests/harness/report/comparison/documents.h"
#include "tests/harness/report/html/page.h"

using namespace kvproof;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using testing::count;
using testing::data_of;
using testing::example;

namespace {

/// The page's own HTML: without its scripts, which hold what they like.
std::string markup_of(const std::string& page) { return page.substr(0, page.find("<script type=")); }

}  // namespace

TEST_CASE("the page of a comparison begins with the verdict and what failed", "[comparison][html]") {
  const std::string page = render_comparison_html(example("regressed"));
  CHECK_THAT(page, StartsWith("<!DOCTYPE html>") && Contains("<section id=\"verdict\" class=\"bad\">") &&
                       Contains("<strong class=\"bad\">REGRESSED</strong> <b>demo/decode engine_decode cpu</b>: 1.053x "
                                "slower [1.041, 1.066]"));
  CHECK(page.find("id=\"verdict\"") < page.find("id=\"times\""));
  CHECK_THAT(render_comparison_html(example("fine")), Contains("<section id=\"verdict\" class=\"good\">"));
  CHECK_THAT(render_comparison_html(example("inconclusive")), Contains("<section id=\"verdict\" class=\"doubtful\">"));
}

TEST_CASE("the page of a comparison loads nothing", "[comparison][html]") {
  const std::string markup = markup_of(render_comparison_html(example("regressed")));
  for (const char* loads : {" src=", " href=", "@import", "url("}) CHECK(markup.find(loads) == std::string::npos);
  CHECK_THAT(markup, Contains("default-src 'none'"));
}

TEST_CASE("each time has a plot, with a row for each of its cases, its interval, its margin and its control",
          "[comparison][html]") {
  const std::string page = render_comparison_html(example("regressed"));
  const Json metrics = data_of(page)["metrics"];
  REQUIRE(metrics.size() == 4);  // engine_prefill cpu, engine_decode cpu, engine_e2e wall, engine_decode p95 wall
  CHECK(count(page, "<figure id=\"metric-") == 4);
  const Json rows = metrics[1]["rows"];
  REQUIRE(rows.size() == 2);
  CHECK(rows[0] == Json::parse(R"({"ratio": 1.0534, "low": 1.0412, "high": 1.0661, "label": "demo/decode",
                                   "verdict": "REGRESSED", "margin": 0.02,
                                   "control": {"ratio": 0.9996, "low": 0.9957, "high": 1.0039}})"));
  CHECK(metrics[0]["rows"][1]["control"]["ratio"] == 1.0008);
  CHECK(rows[1]["label"] == "demo/rows");
  CHECK(rows[1]["control"] == nullptr);
}

TEST_CASE("times that nobody judged are drawn without a margin, and none where there are none", "[comparison][html]") {
  const Json rows = data_of(render_comparison_html(example("changed")))["metrics"][1]["rows"];
  CHECK(rows[0]["verdict"] == "not judged");
  CHECK(rows[0]["margin"] == nullptr);
  CHECK(rows[0]["low"] == nullptr);
  Json document = example("changed");
  document["timing"] = nullptr;
  const std::string page = render_comparison_html(document);
  CHECK(data_of(page)["metrics"].empty());
  CHECK(markup_of(page).find("id=\"times\"") == std::string::npos);
}

TEST_CASE("numbers in the page's tables are beside their unrounded values", "[comparison][html]") {
  CHECK_THAT(render_comparison_html(example("regressed")),
             Contains("<data value=\"1.0534\">1.053x slower</data>") && Contains("<data value=\"0.02\">2.0 %</data>"));
}

TEST_CASE("texts of a comparison stay texts in its page", "[comparison][html]") {
  for (const std::string& name : testing::example_names()) {
    const std::string plain = markup_of(render_comparison_html(testing::with_text_everywhere(example(name), "plain")));
    for (const std::string& text : testing::hostile_texts()) {
      const std::string page = render_comparison_html(testing::with_text_everywhere(example(name), text));
      const std::string markup = markup_of(page);
      CAPTURE(name, text);
      REQUIRE(count(markup, "<") == count(plain, "<"));
      REQUIRE(count(markup, "\"") == count(plain, "\""));
      REQUIRE(count(page, "</script>") == 3);
      for (const char c : markup) REQUIRE((static_cast<unsigned char>(c) >= 0x20 || c == '\n'));
      REQUIRE_NOTHROW(data_of(page));
    }
  }
}

TEST_CASE("a damaged comparison has no page", "[comparison][html]") {
  Json document = example("regressed");
  document["timing"]["metrics"][1].erase("margin");
  CHECK_THROWS_WITH(render_comparison_html(document), Contains("/timing/metrics/1/margin"));
}
