// What a CI job came to, for a terminal, a summary in Markdown and GitHub's annotations.
#include "harness/report/comparison/ci_report.h"

#include <algorithm>

#include "harness/error.h"
#include "harness/report/comparison/workflow_command.h"
#include "tests/harness/report/comparison/documents.h"

using namespace kvproof;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

Json finding(const std::string& kind, const std::string& text) { return {{"kind", kind}, {"text", text}}; }

Json failed() {
  return {{"config", {{"file", "configs/ci.yaml"}, {"hash", "0123456789abcdef"}}},
          {"failures", {finding("disagree", "a: CHANGED"), finding("missing", "b: MISSING")}},
          {"warnings", {finding("accept", "ci.accept: tokens is no longer needed")}},
          {"artifacts", {{"record", "results/runs/ci/record.json"}, {"summary", "results/runs/ci/summary.md"}}},
          {"exit_code", 5}};
}

Json passed() {
  Json ci = failed();
  ci["failures"] = ci["warnings"] = Json::array();
  ci["exit_code"] = 0;
  return ci;
}

Json with_many(const char* list, int n) {
  Json ci = passed();
  for (int i = 0; i < n; ++i) ci[list].push_back(finding("missing", "case " + std::to_string(i) + ": MISSING"));
  return ci;
}

std::ptrdiff_t count_lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

}  // namespace

TEST_CASE("a job's report names what fails, what to look at, where all lies, and the exit code", "[ci_report]") {
  CHECK(render_ci(failed()) ==
        "\nkvproof ci: failed: 2 findings, 1 warning\n"
        "  FAILS    disagree: a: CHANGED\n"
        "  FAILS    missing: b: MISSING\n"
        "  warning  accept: ci.accept: tokens is no longer needed\n"
        "  record                 results/runs/ci/record.json\n"
        "  summary                results/runs/ci/summary.md\n"
        "Exit code 5.\n");
  CHECK_THAT(render_ci(passed()), StartsWith("\nkvproof ci: passed\n"));
}

TEST_CASE("a job's summary begins with its verdict, then has its lists", "[ci_report]") {
  const std::string text = render_ci_markdown(failed());
  CHECK_THAT(text,
             StartsWith("**kvproof ci failed: 2 findings, 1 warning** (exit code 5), config `configs/ci.yaml`\n"));
  CHECK_THAT(text, Contains("\n**What fails**\n\n- disagree: a: CHANGED\n- missing: b: MISSING\n"));
  CHECK_THAT(text, Contains("\n**Worth a look**\n\n- accept: "));
  CHECK(count_lines(render_ci_markdown(passed())) == 1);
}

TEST_CASE("a summary lists fifty of a kind and counts the others", "[ci_report]") {
  CHECK_THAT(render_ci_markdown(with_many("failures", 50)), !Contains("more"));
  const std::string text = render_ci_markdown(with_many("failures", 61));
  CHECK_THAT(text, Contains("case 49: MISSING\n- 11 more: ci.json has them all\n") && !Contains("case 50"));
}

TEST_CASE("each finding is an annotation, of which GitHub shows ten of a kind", "[ci_report]") {
  CHECK(ci_annotations(passed(), "configs/ci.yaml").empty());
  CHECK(ci_annotations(failed(), "configs/ci.yaml") ==
        "::error file=configs/ci.yaml,title=kvproof%3A disagree::a: CHANGED\n"
        "::error file=configs/ci.yaml,title=kvproof%3A missing::b: MISSING\n"
        "::warning file=configs/ci.yaml,title=kvproof%3A accept::ci.accept: tokens is no longer needed\n");
  CHECK(count_lines(ci_annotations(with_many("failures", 10), "a")) == 10);
  const std::string many = ci_annotations(with_many("warnings", 25), "a");
  CHECK(count_lines(many) == 10);
  CHECK_THAT(
      many,
      Contains(
          "case 8: MISSING\n::warning file=a,title=kvproof::16 more like these: the job's summary has them all\n"));
}

TEST_CASE("whatever a text holds, an annotation is one line and one command", "[ci_report]") {
  for (const std::string& hostile : testing::hostile_texts()) {
    CAPTURE(hostile);
    Json ci = failed();
    ci["failures"] = {finding("disagree", hostile + "::error::x")};
    ci["warnings"] = Json::array();
    const std::string text = ci_annotations(ci, "configs/" + hostile);
    CHECK(count_lines(text) == 1);
    CHECK_THAT(text, StartsWith("::error file=configs/"));
    CHECK(text.find('\r') == std::string::npos);
    CHECK(text.find('\x1b') == std::string::npos);
    // The properties end where the first :: after the command's own stands.
    const std::size_t end = text.find("::", 2);
    REQUIRE(end != std::string::npos);
    CHECK_THAT(text.substr(0, end), Catch::Matchers::EndsWith(",title=kvproof%3A disagree"));
  }
}

TEST_CASE("whatever a text holds, a list in a summary has one line an entry and no tags", "[ci_report]") {
  for (const std::string& hostile : testing::hostile_texts()) {
    CAPTURE(hostile);
    Json ci = failed();
    ci["failures"] = {finding("disagree", hostile), finding("missing", "end")};
    const std::string text = render_ci_markdown(ci);
    CHECK(count_lines(text) == count_lines(render_ci_markdown(failed())));
    for (const char* tag : {"<script", "</details", "<!--"}) CHECK(text.find(tag) == std::string::npos);
    const std::string shown = render_ci(ci);
    CHECK(count_lines(shown) == count_lines(render_ci(failed())));
    CHECK(shown.find('\x1b') == std::string::npos);
  }
}

TEST_CASE("a workflow command escapes what the runner undoes, and properties more than the text", "[ci_report]") {
  CHECK(workflow_command("notice", "", "a:b,c", "1: 50 %, 2") == "::notice title=a%3Ab%2Cc::1: 50 %25, 2\n");
  CHECK(workflow_command("error", "a,b.yaml", "t", "m") == "::error file=a%2Cb.yaml,title=t::m\n");
}

TEST_CASE("a damaged document of a job is told with its field", "[ci_report]") {
  Json ci = failed();
  ci["failures"][1].erase("text");
  CHECK_THROWS_AS(render_ci(ci), RecordError);
  CHECK_THROWS_AS(render_ci_markdown(ci), RecordError);
  CHECK_THROWS_AS(ci_annotations(ci, ""), RecordError);
}
