#include "harness/report/export/junit.h"

#include <algorithm>
#include <pugixml.hpp>

#include "harness/analysis/crossover.h"
#include "harness/error.h"
#include "harness/report/export/escape.h"
#include "harness/report/text.h"
#include "tests/harness/report/export/records.h"

using namespace kvproof;
using testing::file_text;
using testing::sample;

namespace {

struct Parsed {
  explicit Parsed(const std::string& xml) {
    const auto result = document.load_string(xml.c_str(), pugi::parse_default | pugi::parse_declaration);
    INFO(result.description() << " at " << result.offset);
    REQUIRE(result);
  }
  pugi::xml_node suites() const { return document.child("testsuites"); }
  pugi::xml_node test(const std::string& name) const {
    for (const pugi::xml_node suite : suites().children("testsuite"))
      for (const pugi::xml_node test : suite.children("testcase"))
        if (name == test.attribute("name").value()) return test;
    FAIL("no testcase " << name);
    return {};
  }
  pugi::xml_document document;
};

std::string property(pugi::xml_node owner, const std::string& name) {
  for (const pugi::xml_node each : owner.child("properties").children("property"))
    if (name == each.attribute("name").value()) return each.attribute("value").value();
  return "no property " + name;
}

std::string attribute(pugi::xml_node node, const char* name) { return node.attribute(name).value(); }

// Case 0 of the sample alone, with these verdicts.
Json with_verdicts(const std::string& agreement, const std::string& verification, const std::string& validity) {
  Json record = sample();
  record["cases"] = Json::array({record["cases"][0]});
  Json& one = record["cases"][0];
  one["agreement"]["verdict"] = agreement;
  one["verification"]["verdict"] = verification;
  one["validity"]["verdict"] = validity;
  if (validity == "INVALID") one["validity"]["reasons"] = {"the clock stood still"};
  return record;
}

}  // namespace

TEST_CASE("the JUnit XML of the sample record is this one, character by character", "[report][junit]") {
  CHECK(render_junit(sample()) == file_text("tests/data/report/sample.junit.xml"));
}

TEST_CASE("JUnit counts what failed, what could not run and what nobody verified", "[report][junit]") {
  const Parsed parsed(render_junit(sample()));
  const auto suites = parsed.suites();
  CHECK(attribute(suites, "tests") == "7");  // six cases and a verification
  CHECK(attribute(suites, "failures") == "2");
  CHECK(attribute(suites, "errors") == "1");
  CHECK(attribute(suites, "skipped") == "0");
  CHECK(attribute(suites.child("testsuite"), "name") == "demo");
  CHECK(attribute(suites.child("testsuite"), "tests") == "6");
  CHECK(attribute(suites.child("testsuite").next_sibling(), "name") == "bare");
  CHECK(attribute(parsed.test("demo/france"), "classname") == "kvproof.demo");
  CHECK(attribute(parsed.test("demo/italy").child("failure"), "type") == "DISAGREE");
  CHECK(attribute(parsed.test("bare/ids/run.verify=off").child("failure"), "type") == "INVALID");
  CHECK(attribute(parsed.test("demo/long").child("error"), "type") == "capacity");
  CHECK_THAT(attribute(parsed.test("demo/long").child("error"), "message"),
             Catch::Matchers::Contains("prompts.long: needs 5200 positions"));
  CHECK_THAT(parsed.test("demo/italy").child("failure").text().get(),
             Catch::Matchers::Contains("row 0, step 5: naive token 1858, engine token 468"));
  CHECK_FALSE(parsed.test("verification demo float32").child("failure"));
}

TEST_CASE("a JUnit test takes the time of its repetitions, a suite and all suites that of their tests",
          "[report][junit]") {
  Json record = sample();
  record["cases"] = Json::array({record["cases"][0]});
  double ns = 0;
  for (const char* path : {"naive", "engine"})
    for (const Json& one : record["cases"][0]["paths"][path]["samples"]) ns += one["e2e_ns"].get<double>();
  const Parsed parsed(render_junit(record));
  CHECK(parsed.test("demo/france").attribute("time").as_double() == Approx(ns / 1e9).margin(1e-6));
  CHECK(parsed.suites().attribute("time").as_double() == Approx(ns / 1e9).margin(1e-6));
  CHECK(parsed.suites().child("testsuite").attribute("time").as_double() == Approx(ns / 1e9).margin(1e-6));
  CHECK_FALSE(parsed.test("verification demo float32").attribute("time"));
}

TEST_CASE("JUnit has the settings of a case and the machine of a suite", "[report][junit]") {
  const Parsed parsed(render_junit(sample()));
  const auto test = parsed.test("demo/creation/sampler.temperature=0.8");
  CHECK(property(test, "run.dtype") == "float32");
  CHECK(property(test, "run.threads") == "2");
  CHECK(property(test, "sampler.temperature") == "0.8");
  CHECK(property(test, "sampler.top_k") == "50");
  CHECK(property(test, "naive.logits") == "all");
  CHECK(property(test, "speedup.decode") == "6.5298");
  CHECK(property(parsed.test("demo/italy"), "speedup.withheld") == "the outputs disagree: row 0 parts at step 5");
  CHECK(property(parsed.suites().child("testsuite"), "machine.fingerprint") == "f17ce5b7a363c97f");
  CHECK(property(parsed.suites().child("testsuite"), "kvproof.dirty") == "true");
}

TEST_CASE("a JUnit test has the crossover's figures that exist", "[report][junit]") {
  const Json record = sample(), figures = figures_of(crossover(View(record["cases"][0])));
  const Parsed parsed(render_junit(record));
  const auto test = parsed.test("demo/france");
  for (const char* path : {"naive", "engine"})
    for (const char* name : {"step_ns_at_zero", "step_ns_per_token", "growth_exponent"})
      CHECK(property(test, std::string(path) + "." + name) == figures[path][name].dump());
  for (const char* name : {"break_even_tokens", "of_ceiling"}) CHECK(property(test, name) == figures[name].dump());
  const auto names = [&](const char* of) {
    std::vector<std::string> all;
    for (const pugi::xml_node one : parsed.test(of).child("properties").children())
      all.push_back(one.attribute("name").value());
    return all;
  };
  const auto has = [](const std::vector<std::string>& all, const char* name) {
    return std::find(all.begin(), all.end(), name) != all.end();
  };
  CHECK_FALSE(has(names("demo/tool"), "naive.step_ns_per_token"));  // 14 steps make no curve
  CHECK(has(names("demo/tool"), "break_even_tokens"));
  CHECK_FALSE(has(names("demo/italy"), "break_even_tokens"));  // withheld
}

TEST_CASE("a JUnit suite says that a run was interrupted, and in how many processes it ran", "[report][junit]") {
  Json record = sample();
  record["partial"] = true;
  record["exit_code"] = 130;
  record["sessions"] = {"2026-11-22T10:15:00Z", "2026-11-22T11:00:00Z"};
  const Parsed parsed(render_junit(record));
  const auto suite = parsed.suites().child("testsuite");
  CHECK(property(suite, "partial") == "true");
  CHECK(property(suite, "exit_code") == "130");
  CHECK(property(suite, "sessions") == "2");
}

TEST_CASE("what JUnit makes of a case's verdicts", "[report][junit]") {
  struct Row {
    const char *agreement, *verification, *validity, *element, *said;
  };
  const auto row = GENERATE(values<Row>({
      {"AGREE", "PASS", "VALID", "", ""},
      {"TIE", "PASS", "VALID", "", ""},
      {"DISAGREE", "PASS", "INVALID", "failure", "64 of 64 tokens equal"},
      {"AGREE", "FAIL", "INVALID", "failure", "failed verification"},
      {"AGREE", "PASS", "INVALID", "failure", "the clock stood still"},
      {"UNVERIFIED", "OFF", "VALID", "skipped", "UNVERIFIED: 64 of 64"},
      {"AGREE", "OFF", "VALID", "skipped", "OFF: the cache was not verified"},
      {"AGREE", "INCONCLUSIVE", "VALID", "skipped", "INCONCLUSIVE: not verified"},
  }));
  CAPTURE(row.agreement, row.verification, row.validity);
  const Parsed parsed(render_junit(with_verdicts(row.agreement, row.verification, row.validity)));
  const auto test = parsed.test("demo/france");
  const std::string element = row.element;
  for (const char* each : {"failure", "error", "skipped"}) CHECK(bool(test.child(each)) == (element == each));
  if (!element.empty()) {
    CHECK_THAT(attribute(test.child(row.element), "message"), Catch::Matchers::Contains(row.said));
  }
}

TEST_CASE("what JUnit makes of a verification's verdict", "[report][junit]") {
  Json record = sample();
  Json& one = record["verifications"][0];
  SECTION("a FAIL says where and how to see it again") {
    one["verdict"] = "FAIL";
    one["explanation"] = "cache wrong: window";
    one["first_divergence"] = {{"scenario", "chunks[1,2]/float64"}, {"message", "off by 0.1"}};
    one["reproduce"] = "kvproof verify --only 'chunks[1,2]/float64'";
    const Parsed parsed(render_junit(record));
    const auto failure = parsed.test("verification demo float32").child("failure");
    CHECK(attribute(failure, "type") == "FAIL");
    CHECK(attribute(failure, "message") == "cache wrong: window");
    CHECK(failure.text().get() ==
          std::string("chunks[1,2]/float64: off by 0.1\nagain: kvproof verify --only 'chunks[1,2]/float64'"));
  }
  SECTION("an INCONCLUSIVE is skipped and says why") {
    one["verdict"] = "INCONCLUSIVE";
    one["explanation"] = "c_proj is zero";
    const Parsed parsed(render_junit(record));
    CHECK(attribute(parsed.test("verification demo float32").child("skipped"), "message") ==
          "INCONCLUSIVE: c_proj is zero");
  }
}

TEST_CASE("whatever texts a record has, JUnit stays XML 1.0 and gives them back", "[report][junit]") {
  const std::string text = GENERATE(from_range(testing::hostile_texts()));
  CAPTURE(text);
  const std::string xml = render_junit(testing::with_text_everywhere(sample(), text));
  const Parsed parsed(xml);
  CHECK(attribute(parsed.suites(), "tests") == "7");
  const auto test = parsed.test(xml_text(text + "demo/long"));
  CHECK_THAT(attribute(test.child("error"), "message"),
             Catch::Matchers::EndsWith(xml_text(text + "needs 5200 positions, the rotary tables hold 5120; lower "
                                                       "sampler.max_tokens to 120 or shorten the prompt")));
  CHECK(std::none_of(xml.begin(), xml.end(), [](unsigned char c) { return c < 0x20 && c != '\n'; }));
  for (const char* forbidden : {"\xEF\xBF\xBE", "\xEF\xBF\xBF", "&#0;", "&#27;", "&#x1b;"})
    CHECK(xml.find(forbidden) == std::string::npos);
}

TEST_CASE("a record of before runs verified becomes JUnit, too", "[report][junit]") {
  const Parsed parsed(render_junit(testing::older_sample()));
  CHECK(attribute(parsed.suites(), "tests") == "6");
  CHECK_FALSE(parsed.test("demo/france").child("skipped"));
}

TEST_CASE("a run of which no case could run has a time, too", "[report][junit]") {
  Json record = sample();
  record["cases"] = Json::array({record["cases"][5]});
  record["verifications"] = Json::array();
  REQUIRE(record["cases"][0]["status"] == "failed");
  const Parsed parsed(render_junit(record));
  CHECK(attribute(parsed.suites(), "time") == "0.000000");
  CHECK(attribute(parsed.suites().child("testsuite"), "time") == "0.000000");
}

TEST_CASE("JUnit of a damaged record is an error that names the field", "[report][junit]") {
  Json record = sample();
  SECTION("a field is missing") {
    record["cases"][5]["error"].erase("place");
    CHECK_THROWS_WITH(render_junit(record), Catch::Matchers::Contains("/cases/5/error/place: expected a value"));
  }
  SECTION("a field has another type") {
    record["cases"][0]["paths"]["naive"]["samples"][1]["e2e_ns"] = "long";
    CHECK_THROWS_WITH(render_junit(record),
                      Catch::Matchers::Contains("/cases/0/paths/naive/samples/1/e2e_ns: expected a number"));
  }
}
