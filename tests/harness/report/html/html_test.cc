#include "harness/report/html/html.h"

#include <regex>

#include "harness/analysis/crossover.h"
#include "harness/error.h"
#include "harness/report/html/embedded.h"
#include "harness/report/text.h"
#include "tests/harness/report/html/page.h"

using namespace kvproof;
using testing::between;
using testing::count;
using testing::data_of;
using testing::our_part;
using testing::sample;

namespace {

// Without the library, which is not ours.
std::vector<std::string> tags(const std::string& html) {
  static const std::regex tag("</?[a-z][a-z0-9]*|<!");
  return {std::sregex_token_iterator(html.begin(), html.end(), tag), {}};
}

Json only_failed() {
  Json record = sample();
  record["cases"] = Json::array({record["cases"][5]});
  return record;
}

}  // namespace

TEST_CASE("the page brings its style, its scripts and the library along", "[report][html]") {
  const std::string page = render_html(sample());
  const FrameFiles files = frame_files();
  const RunFiles own = run_files();
  CHECK(page.find(files.style) != std::string::npos);
  CHECK(page.find(files.parts) != std::string::npos);
  CHECK(page.find(own.charts) != std::string::npos);
  CHECK(page.find(own.script) != std::string::npos);
  CHECK(files.chart_js.size() > 100'000);
  CHECK(page.find(files.chart_js.substr(0, 100'000)) != std::string::npos);
  CHECK(page.find("sourceMappingURL") == std::string::npos);
  CHECK(page.find("{{") > page.find("<script>\n"));  // no part is left out
}

TEST_CASE("nothing in the page is loaded from anywhere", "[report][html]") {
  const std::string ours = our_part(render_html(sample()));
  for (const char* way : {"http:", "https:", "://", "src=", "href", "url(", "@import", "import(", "import ", "fetch(",
                          "XMLHttp", "WebSocket", "<link", "<img", "<iframe", "<object", "innerHTML", "eval("}) {
    CAPTURE(way);
    CHECK(ours.find(way) == std::string::npos);
  }
  CHECK_FALSE(std::regex_search(ours, std::regex("//[A-Za-z0-9]")));
}

TEST_CASE("a browser is told to load nothing, before it reads a style or a script", "[report][html]") {
  const std::string page = render_html(sample());
  const std::string policy = between(page, "http-equiv=\"Content-Security-Policy\" content=\"", "\"");
  CHECK(
      policy ==
      "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'");
  CHECK(page.find("Content-Security-Policy") < page.find("<style>"));
  CHECK(page.find("Content-Security-Policy") < page.find("<script"));
}

TEST_CASE("no text of a record becomes markup", "[report][html]") {
  const std::string evil =
      "</script></style><img src=x onerror=alert(1)><!-- <script>\" onload=\"x' &lt; \x1b\x01\u202e ]]> {{data}}";
  Json record = sample();
  for (const char* pointer : {"/config/file",
                              "/config/hash",
                              "/config/resolved/checkpoints/0/name",
                              "/started",
                              "/finished",
                              "/command/2",
                              "/checkpoints/0/name",
                              "/checkpoints/0/path",
                              "/checkpoints/1/ambiguities/0",
                              "/machine/cpu_model",
                              "/machine/os",
                              "/machine/isa/0",
                              "/machine/peaks/0/dtype",
                              "/machine/peaks/0/read/0/working_set",
                              "/kvproof/commit",
                              "/kvproof/compiler_flags",
                              "/cases/0/id",
                              "/cases/0/shape/label",
                              "/cases/0/agreement/verdict",
                              "/cases/0/verification/verdict",
                              "/cases/2/agreement/explanation",
                              "/cases/3/speedup/withheld",
                              "/cases/4/validity/reasons/0",
                              "/cases/5/id",
                              "/cases/5/error/message",
                              "/cases/5/error/place",
                              "/cases/5/error/kind",
                              "/verifications/0/checkpoint",
                              "/verifications/0/verdict",
                              "/verifications/0/explanation",
                              "/verifications/0/not_covered/0",
                              "/verifications/0/levels/L0/name",
                              "/verifications/0/error_by_position/scenario",
                              "/warnings/0"}) {
    Json& at = record[Json::json_pointer(pointer)];
    REQUIRE(at.is_string());
    at = evil;
  }
  record["machine"][evil] = evil;
  const std::string page = render_html(record), ours = our_part(page);
  CHECK(page.find('\x1b') == std::string::npos);
  CHECK(ours.find("<img") == std::string::npos);
  CHECK(count(page, "</script") == 3);
  CHECK(count(ours, "<!--") == 0);
  CHECK(count(ours, "</style") == 1);
  CHECK(data_of(page)["cases"][0]["id"] == visible(evil));
}

TEST_CASE("hostile text leaves the elements of the page as they are", "[report][html]") {
  Json record = sample(), hostile = sample();
  for (const char* pointer : {"/cases/0/id", "/cases/3/speedup/withheld", "/cases/5/error/message",
                              "/machine/cpu_model", "/warnings/1", "/checkpoints/1/ambiguities/0"})
    hostile[Json::json_pointer(pointer)] = "</td></tr></dd><script>x</script><!--\"'>";
  CHECK(tags(our_part(render_html(hostile))) == tags(our_part(render_html(record))));
}

TEST_CASE("each number of the table stands beside the record's value", "[report][html]") {
  const Json record = sample();
  const std::string table = between(render_html(record), "<h2>Cases</h2>", "</section>");
  std::size_t numbers = 0;
  const auto check = [&](const Json& value) {
    if (value.is_null()) return;
    ++numbers;
    CAPTURE(value);
    CHECK(table.find("<data value=\"" + value.dump() + "\">") != std::string::npos);
  };
  const auto member = [](const Json& object, const char* name) { return object.is_null() ? Json() : object.at(name); };
  for (const Json& one : record["cases"]) {
    if (one["status"] != "ok") continue;
    for (const char* path : {"naive", "engine"})
      for (const char* metric : {"e2e_ns", "ttft_ns", "tpot_ns", "prefill_tok_per_s", "decode_tok_per_s"})
        check(member(one["paths"][path]["metrics"][metric], "median"));
    for (const char* ratio : {"e2e", "prefill", "decode"}) check(member(one["speedup"][ratio], "ratio"));
  }
  CHECK(numbers == 2 * 5 * 4 + 2 * 3 + 3 * 3 + 2);
  CHECK(count(table, "<data ") == numbers);
  CHECK(table.find("<data value=\"1570.405\">1570 (42 %)</data>") != std::string::npos);
  CHECK(table.find("<data value=\"7.1202\">7.12x</data> <span class=\"interval\" data-low=\"7.0995\" "
                   "data-high=\"7.171\">[7.10, 7.17]</span>") != std::string::npos);
}

TEST_CASE("the table of growth has the crossover's numbers, of the cases with a curve", "[report][html]") {
  const Json record = sample(), figures = figures_of(crossover(View(record["cases"][0])));
  const std::string table = between(render_html(record), "<section id=\"growth\">", "</section>");
  std::size_t numbers = 0;
  const auto check = [&](const Json& value) {
    ++numbers;
    CAPTURE(value);
    CHECK(table.find("<data value=\"" + value.dump() + "\">") != std::string::npos);
  };
  for (const char* path : {"naive", "engine"})
    for (const auto& [name, value] : figures[path].items()) check(value);
  check(figures["break_even_tokens"]);
  check(figures["of_ceiling"]);
  CHECK(count(table, "<data ") == numbers);
  CHECK(count(table, "<tbody>") == 1);
  CHECK(table.find("6 … 68</td>") != std::string::npos);
}

TEST_CASE("without a curve there is no table of growth, and a withheld speed-up has no break-even", "[report][html]") {
  Json record = sample();
  record["cases"][0]["speedup"]["verified"] = false;
  CHECK(render_html(record).find("<data value=\"1\">token 1?</data>") != std::string::npos);
  record["cases"][0]["speedup"] = record["cases"][3]["speedup"];
  CHECK(render_html(record).find("<td rowspan=\"2\">withheld</td><td rowspan=\"2\">–</td>") != std::string::npos);
  record["cases"].erase(0);
  CHECK(render_html(record).find("id=\"growth\"") == std::string::npos);
}

TEST_CASE("an interrupted run says so in its verdict, a run gone on with when its processes began", "[report][html]") {
  Json record = sample();
  record["partial"] = true;
  record["exit_code"] = 130;
  record["sessions"] = {"2026-11-22T10:15:00Z", "2026-11-22T11:00:00Z"};
  const std::string page = render_html(record),
                    verdict = between(page, "<section id=\"verdict\" class=\"doubtful\">", "</section>");
  CHECK(verdict.find("Exit code 130: interrupted") != std::string::npos);
  CHECK(page.find("<li>2026-11-22T10:15:00Z</li>\n<li>2026-11-22T11:00:00Z</li>") != std::string::npos);
  record["sessions"].erase(1);
  CHECK(render_html(record).find("gone on with") == std::string::npos);
}

TEST_CASE("the page says what was compared, with what and where", "[report][html]") {
  const std::string facts = between(render_html(sample()), "<section id=\"facts\">", "</section>");
  for (const char* words : {"computes the whole text again", "<dd>demo: ", "float32, cpu, 2 threads", "2 cores"}) {
    CAPTURE(words);
    CHECK(facts.find(words) != std::string::npos);
  }
}

TEST_CASE("the table says what is not verified and what is withheld, and why", "[report][html]") {
  const std::string page = render_html(sample());
  CHECK(
      page.find(
          "1.00x</data><abbr title=\"not verified: nobody knows whether the engine&#39;s output is right\">?</abbr>") !=
      std::string::npos);
  CHECK(page.find("withheld: the outputs disagree: row 0 parts at step 5</td>") != std::string::npos);
  CHECK(page.find("<td class=\"words bad\">FAILED</td><td colspan=\"7\" class=\"words\">capacity error: prompts.long: "
                  "needs 5200") != std::string::npos);
}

TEST_CASE("the verdict comes before everything else, and says what failed, where and how to see it", "[report][html]") {
  const std::string page = render_html(sample()),
                    verdict = between(page, "<section id=\"verdict\" class=\"bad\">", "</section>");
  CHECK(verdict.find("6 cases: 2 AGREE, 1 TIE, 1 UNVERIFIED, 1 DISAGREE, 1 FAILED; verification: 1 PASS. Exit code 5: "
                     "the outputs of naive and engine disagree.") != std::string::npos);
  CHECK(verdict.find("Measurements: 3 VALID, 2 INVALID.") != std::string::npos);
  CHECK(verdict.find("<strong class=\"bad\">DISAGREE</strong> <b>demo/italy</b>: row 0 parts at step 5") !=
        std::string::npos);
  CHECK(verdict.find("<strong class=\"bad\">FAILED</strong> <b>demo/long</b>: capacity error") != std::string::npos);
  CHECK(verdict.find("<code>kvproof run configs/sample.yaml</code>") != std::string::npos);
  CHECK(count(verdict, "the outputs disagree: row 0") == 0);  // the explanation says it
  CHECK(page.find("id=\"verdict\"") < page.find("<table"));
}

TEST_CASE("a verification that failed names its first divergence and the command for it", "[report][html]") {
  Json record = sample();
  Json& failed = record["verifications"][0];
  failed["verdict"] = "FAIL";
  failed["explanation"] = "the cache is not recomputation";
  failed["first_divergence"] = {{"scenario", "decode[1,4]/float64"}, {"message", "row 0's logits are off"}};
  failed["reproduce"] = "kvproof verify --only 'decode[1,4]/float64'";
  const std::string verdict = between(render_html(record), "<section id=\"verdict\"", "</section>");
  CHECK(verdict.find("<strong class=\"bad\">FAIL</strong> <b>verification of demo float32</b>: the cache is not "
                     "recomputation. First: "
                     "decode[1,4]/float64: row 0&#39;s logits are off<br>again: <code>kvproof verify --only "
                     "&#39;decode[1,4]/float64&#39;</code>") != std::string::npos);
}

TEST_CASE("a run without a fault says so in green and lists nothing", "[report][html]") {
  Json record = sample();
  record["cases"] = Json::array({record["cases"][0], record["cases"][1]});
  record["exit_code"] = 0;
  const std::string verdict = between(render_html(record), "<section id=\"verdict\" class=\"", "</section>");
  CHECK(verdict.starts_with("good\">"));
  CHECK(count(verdict, "<li>") == 0);
}

TEST_CASE("a record whose cases all failed still makes a page", "[report][html]") {
  const std::string page = render_html(only_failed());
  CHECK(data_of(page)["cases"] == Json::array());
  CHECK(page.find("Nothing was measured.") != std::string::npos);
  CHECK(page.find("capacity error") != std::string::npos);
}

TEST_CASE("a record without cases makes a page", "[report][html]") {
  Json record = sample();
  record["cases"] = Json::array();
  CHECK(data_of(render_html(record))["cases"] == Json::array());
}

TEST_CASE("older records make a page", "[report][html]") {
  Json record = sample();
  record.erase("verifications");
  record["machine"].erase("peaks");
  for (Json& one : record["cases"]) {
    one.erase("verification");
    if (!one.contains("paths")) continue;
    for (const char* path : {"naive", "engine"}) one["paths"][path].erase("utilization");
  }
  const std::string page = render_html(record);
  CHECK(page.find("No case was verified beyond its own tokens.") != std::string::npos);
  CHECK(data_of(page)["cases"].size() == 5);
}

TEST_CASE("a damaged record is told by the field that is damaged", "[report][html]") {
  const auto place = [](const char* pointer, const Json& value) -> std::string {
    Json record = sample();
    record[Json::json_pointer(pointer)] = value;
    try {
      render_html(record);
    } catch (const RecordError& error) {
      return error.place();
    }
    return "no error";
  };
  for (const char* pointer : {"/config/file",
                              "/started",
                              "/command",
                              "/warnings",
                              "/exit_code",
                              "/cases",
                              "/cases/0/id",
                              "/cases/0/shape/P",
                              "/cases/0/paths/naive/samples",
                              "/cases/0/paths/engine/samples/2/itl_ns/7",
                              "/cases/0/paths/engine/samples/2/e2e_ns",
                              "/cases/0/paths/naive/warmup/0/order",
                              "/cases/0/paths/naive/metrics/ttft_ns/median",
                              "/cases/0/speedup/verified",
                              "/cases/0/speedup/e2e/low",
                              "/cases/0/verification/index",
                              "/cases/0/work/ceiling",
                              "/cases/0/paths/engine/utilization/prefill/flops",
                              "/machine/peaks/0/gemm/1/flops_per_s",
                              "/verifications/0/error_by_position/positions",
                              "/verifications/0/levels/L2/checks",
                              "/checkpoints/0/dims/n_head"}) {
    CHECK(place(pointer, Json({{"damaged", true}})) == pointer);
  }
}
