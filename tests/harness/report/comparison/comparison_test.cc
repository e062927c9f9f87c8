#include "harness/report/comparison/comparison.h"

#include "harness/error.h"
#include "harness/report/comparison/annotations.h"
#include "harness/report/comparison/csv.h"
#include "harness/report/comparison/findings.h"
#include "harness/report/comparison/junit.h"
#include "harness/report/comparison/markdown.h"
#include "harness/report/comparison/table.h"
#include "harness/report/comparison/words.h"
#include "harness/report/text.h"
#include "tests/harness/report/comparison/documents.h"
#include "tests/support/json_schema.h"

using namespace kvproof;
using namespace kvproof::comparison;
using testing::example;
using Errors = std::vector<std::string>;

namespace {

std::string error_of(const Json& document) {
  try {
    read_comparison(document);
  } catch (const RecordError& error) {
    return error.place() + ": " + error.message();
  }
  return "none";
}

Json schema() { return Json::parse(testing::file_text("results/comparison.schema.json")); }

}  // namespace

TEST_CASE("the examples of comparisons obey the schema", "[comparison][schema]") {
  const testing::JsonSchema rules(schema());
  for (const std::string& name : testing::example_names()) {
    CAPTURE(name);
    CHECK(rules.errors(example(name)) == Errors{});
  }
}

TEST_CASE("a comparison with a fault does not obey the schema", "[comparison][schema]") {
  struct Row {
    const char* pointer;
    Json value;
    std::string error;
  };
  const auto row = GENERATE(values<Row>({
      {"/schema/version", 2, "/schema/version: expected 1, found 2"},
      {"/cases/0/verdict", "SAME",
       "/cases/0/verdict: expected one of [\"IDENTICAL\",\"CHANGED\",\"MISSING\",\"ADDED\",\"INCOMPARABLE\"], found "
       "\"SAME\""},
      {"/base/kind", "branch",
       "/base/kind: expected one of [\"binary\",\"ref\",\"baseline\",\"record\"], found \"branch\""},
      {"/timing/metrics/0/ratio", "1", "/timing/metrics/0/ratio: expected \"number\", found string"},
      {"/timing/metrics/0/p", 1.5, "/timing/metrics/0/p: 1.5 is above 1"},
      {"/timing/metrics/0/mde", 0.1, "/timing/metrics/0/mde: is not allowed here"},
      {"/timing/controls/0/ratio", -1, "/timing/controls/0/ratio: -1 is below 0"},
      {"/floors/0/verdict", "IMPROVED",
       "/floors/0/verdict: expected one of [\"REGRESSED\",\"EQUIVALENT\"], found \"IMPROVED\""},
      {"/verdict/exit_code", "1", "/verdict/exit_code: expected \"integer\", found string"},
  }));
  Json document = example("regressed");
  document[Json::json_pointer(row.pointer)] = row.value;
  CHECK(testing::JsonSchema(schema()).errors(document) == Errors{row.error});
}

TEST_CASE("a damaged comparison names its field", "[comparison]") {
  struct Row {
    const char* pointer;
    Json value;
    std::string error;
  };
  const auto row = GENERATE(values<Row>({
      {"/schema/name", "kvproof-run",
       "/schema/name: expected \"kvproof-comparison\", found \"kvproof-run\"; is this a document of kvproof compare?"},
      {"/schema/version", 2, "/schema/version: expected 1, found 2; a newer kvproof wrote this: read it with that one"},
      {"/schema/version", 0, "/schema/version: expected 1, found 0; no kvproof wrote this: compare again"},
      {"/cases/1/verdict", "SAME",
       "/cases/1/verdict: expected one of \"IDENTICAL\", \"CHANGED\", \"MISSING\", \"ADDED\", \"INCOMPARABLE\", found "
       "\"SAME\"; the document is damaged, or a newer kvproof wrote it"},
      {"/timing/metrics/2/ratio", "fast",
       "/timing/metrics/2/ratio: expected a number, found string; the record is damaged"},
      {"/timing/metrics/2/low", nullptr,
       "/timing/metrics/2/low: expected a number, for the interval's other end is one, found null; the document is "
       "damaged"},
      {"/timing/session/blocks", 1.5, "/timing/session/blocks: expected an integer, found 1.5; the record is damaged"},
      {"/verdict/reasons/0", 7, "/verdict/reasons/0: expected a string, found 7; the record is damaged"},
  }));
  Json document = example("regressed");
  document[Json::json_pointer(row.pointer)] = row.value;
  CHECK(error_of(document) == row.error);
}

TEST_CASE("every format refuses a comparison that lacks any of its fields, and names it", "[comparison]") {
  const Json whole = example("regressed");
  std::vector<std::string> pointers;
  const auto visit = [&](const auto& self, const Json& node, const std::string& at) -> void {
    if (node.is_object())
      for (const auto& [name, value] : node.items()) {
        pointers.push_back(at + "/" + name);
        self(self, value, at + "/" + name);
      }
    if (node.is_array() && !node.empty()) self(self, node[0], at + "/0");
  };
  visit(visit, whole, "");
  REQUIRE(pointers.size() > 90);
  int refused = 0;
  for (const std::string& pointer : pointers) {
    const auto cut = pointer.rfind('/');
    const std::string parent = pointer.substr(0, cut), key = pointer.substr(cut + 1);
    Json document = whole;
    document[Json::json_pointer(parent)].erase(key);
    const std::string error = error_of(document);
    CAPTURE(pointer, error);
    if (error == "none") continue;
    ++refused;
    CHECK(error == pointer + ": expected a value, found nothing; the record is damaged");
    CHECK_THROWS_AS(render_comparison(document, false, 80), RecordError);
    CHECK_THROWS_AS(render_comparison_markdown(document), RecordError);
    CHECK_THROWS_AS(render_comparison_junit(document), RecordError);
    CHECK_THROWS_AS(render_comparison_csv(document), RecordError);
    CHECK_THROWS_AS(github_annotations(document, ""), RecordError);
  }
  CHECK(refused > 80);  // the others may be left out: they are null where there is nothing to say
}

TEST_CASE("what fails, what is doubtful and what is only told", "[comparison]") {
  const auto words = [](const std::string& name, Level level) {
    std::vector<std::string> all;
    for (const Finding& one : findings_of(read_comparison(example(name))))
      if (one.level == level) all.push_back(one.verdict + " " + one.where);
    return all;
  };
  using Words = std::vector<std::string>;
  CHECK(words("fine", Level::failure) == Words{});
  CHECK(words("fine", Level::doubt) == Words{});
  CHECK(words("fine", Level::note) ==
        Words{"MISSING demo/old", "ADDED demo/tool", "IMPROVED demo/decode engine_decode cpu"});
  CHECK(words("regressed", Level::failure) ==
        Words{"REGRESSED demo/decode engine_decode cpu", "REGRESSED demo/rows speedup_decode"});
  CHECK(words("regressed", Level::doubt) ==
        Words{"INCONCLUSIVE demo/decode engine_prefill cpu", "ACCEPT token_forwards", "WARNING "});
  CHECK(words("regressed", Level::note) == Words{"REGRESSED demo/decode engine_e2e wall"});
  CHECK(words("changed", Level::failure) ==
        Words{"CHANGED demo/decode", "CHANGED demo/italy", "CHANGED demo/long", "MISSING demo/old"});
  CHECK(words("changed", Level::doubt) == Words{"INCOMPARABLE demo/threads", "INCOMPARABLE demo/broken", "WARNING "});
  CHECK(words("inconclusive", Level::failure) == Words{});
  CHECK(words("inconclusive", Level::doubt) == Words{"INCONCLUSIVE all cases engine_prefill cpu",
                                                     "INCONCLUSIVE all cases engine_decode cpu",
                                                     "CONTROL all cases engine_prefill cpu"});
  CHECK(words("incomparable", Level::doubt) ==
        Words{"INCOMPARABLE demo/prefill", "INCOMPARABLE demo/decode", "INCOMPARABLE times"});
}

TEST_CASE("a slow-down fails only where it gates and a second session found it too", "[comparison]") {
  Metric metric;
  metric.verdict = "REGRESSED";
  metric.gated = metric.confirmed = true;
  CHECK((fails(metric) && !is_doubtful(metric)));
  metric.confirmed = false;
  CHECK((!fails(metric) && is_doubtful(metric)));
  metric.gated = false;
  CHECK((!fails(metric) && !is_doubtful(metric)));
  metric.confirmed = true;
  CHECK((!fails(metric) && !is_doubtful(metric)));
}

TEST_CASE("a case fails by what nobody accepted", "[comparison]") {
  Case one;
  one.verdict = "MISSING";
  CHECK(fails(one));
  one.accepted = true;
  CHECK_FALSE(fails(one));
  one = {};
  one.verdict = "CHANGED";
  one.changes = {{"naive.kv_cache_bytes", "", 1, 2, true}};
  CHECK_FALSE(fails(one));
  one.changes.push_back({"agreement", "", "AGREE", "TIE", false});
  CHECK(fails(one));
}

TEST_CASE("that no case is in both, and that times are open without one that is, is said", "[comparison]") {
  Json document = example("fine");
  document["cases"] = Json::array({document["cases"].back()});
  document["verdict"]["exact"] = "INCOMPARABLE";
  document["timing"]["verdict"] = "INCONCLUSIVE";
  document["timing"]["reason"] = "it was cut off";
  const auto findings = findings_of(read_comparison(document));
  REQUIRE(findings.size() > 2);
  CHECK(findings[0].verdict + " " + findings[0].where + ": " + findings[0].what ==
        "INCOMPARABLE cases: no case is in both");
  CHECK(findings[1].verdict + " " + findings[1].where + ": " + findings[1].what ==
        "INCONCLUSIVE times: it was cut off");
}

TEST_CASE("times of two runs that cannot be compared are only told", "[comparison]") {
  Json document = example("changed");
  document["timing"]["verdict"] = "INCOMPARABLE";
  document["timing"]["reason"] = "another machine";
  const auto findings = findings_of(read_comparison(document));
  REQUIRE_FALSE(findings.empty());
  CHECK(findings.back().what == "another machine");
  CHECK(findings.back().level == Level::note);
  CHECK_THAT(render_comparison_junit(document), !Catch::Matchers::Contains("another machine"));
}

TEST_CASE("ratios have three digits behind the point and a word that their digits bear out", "[comparison]") {
  CHECK(ratio_text(1.0534) == "1.053x");
  CHECK(ratio_text(9.9994) == "9.999x");
  CHECK(ratio_text(9.9996) == "10.00x");
  CHECK(ratio_text(124.06) == "124.1x");
  CHECK(direction(1.0534) == std::string("slower"));
  CHECK(direction(0.9991) == std::string("faster"));
  CHECK(direction(1.0004) == std::string("same"));
  CHECK(direction(0.9996) == std::string("same"));
  CHECK(ratio_sentence({1.05, 1.01, 1.09}) == "1.050x slower [1.010, 1.090]");
  CHECK(ratio_sentence({1.05, {}, {}}) == "1.050x slower");
  CHECK(share_text(0.0994) == "9.9 %");
  CHECK(share_text(0.0996) == "10 %");
  CHECK(share_text(std::nullopt) == "–");
}

TEST_CASE("texts of a document are told without what a terminal or a workflow's log would obey", "[comparison]") {
  CHECK(told("demo/decode") == "demo/decode");
  CHECK(told("a: b") == "a: b");
  CHECK(told("::error::x") == "\\x3a\\x3aerror:\\x3ax");
  CHECK(told(":::") == "\\x3a\\x3a:");
  CHECK(told("##[error]") == "#\\x23[error]");
  CHECK(told("\x1b[1m\n") == "\\x1b[1m\\n");
}

TEST_CASE("a value that is compared is shown whole unless it is very long", "[comparison]") {
  CHECK(value_text(1858) == "1858");
  CHECK(value_text("AGREE") == "AGREE");
  CHECK(value_text(nullptr) == "none");
  CHECK(value_text(Json::array({1, 2})) == "[1,2]");
  CHECK(display_width(value_text(std::string(500, 'x'))) == 120);
}
