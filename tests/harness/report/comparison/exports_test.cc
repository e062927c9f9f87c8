#include <algorithm>
#include <pugixml.hpp>
#include <sstream>

#include "harness/report/comparison/annotations.h"
#include "harness/report/comparison/csv.h"
#include "harness/report/comparison/junit.h"
#include "harness/report/comparison/markdown.h"
#include "tests/harness/report/comparison/documents.h"

using namespace kvproof;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;
using testing::example;

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// The document with `count` cases that changed.
Json with_changed_cases(int count, const std::string& id) {
  Json document = example("changed");
  const Json one = document["cases"][3];
  document["cases"] = Json::array();
  for (int i = 0; i < count; ++i) {
    document["cases"].push_back(one);
    document["cases"].back()["id"] = id + std::to_string(i);
  }
  return document;
}

/// Rows of fields, as RFC 4180 has them.
std::vector<std::vector<std::string>> csv_rows(const std::string& text) {
  std::vector<std::vector<std::string>> rows(1, {""});
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"' && text.compare(i, 2, "\"\"") == 0) {
      rows.back().back() += text[i++];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && c == ',') {
      rows.back().emplace_back();
    } else if (!quoted && c == '\r') {
      ++i;
      rows.push_back({""});
    } else {
      rows.back().back() += c;
    }
  }
  rows.pop_back();
  return rows;
}

/// Markdown without its code spans, in which nothing is markup.
std::string outside_code(const std::string& text) {
  std::string rest;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '`' || (at > 0 && text[at - 1] == '\\')) {
      rest += text[at++];
      continue;
    }
    const std::string fence = text.substr(at, text.find_first_not_of('`', at) - at);
    auto end = at + fence.size();
    do {
      end = text.find(fence, end);
      if (end == std::string::npos) return rest + text.substr(at);
      const auto after = text.find_first_not_of('`', end);
      const auto length = after - end;
      end = after;
      if (length == fence.size()) break;
    } while (true);
    at = end;
  }
  return rest;
}

std::string cell(const std::vector<std::vector<std::string>>& rows, std::size_t row, const std::string& column) {
  const auto& names = rows[0];
  return rows[row][std::find(names.begin(), names.end(), column) - names.begin()];
}

}  // namespace

TEST_CASE("the Markdown, JUnit, CSV and annotations of the examples are these, character by character",
          "[comparison][export]") {
  for (const std::string& name : testing::example_names()) {
    CAPTURE(name);
    const Json document = example(name);
    CHECK(render_comparison_markdown(document) == testing::golden(name, "md"));
    CHECK(render_comparison_junit(document) == testing::golden(name, "junit.xml"));
    CHECK(render_comparison_csv(document) == testing::golden(name, "csv"));
    CHECK(github_annotations(document, "configs/ci.yaml") == testing::golden(name, "annotations.txt"));
  }
}

// --- Markdown

TEST_CASE("Markdown begins with the verdict, and what failed comes before all tables", "[comparison][markdown]") {
  const std::string text = render_comparison_markdown(example("changed"));
  CHECK_THAT(text, StartsWith("**kvproof compare: Exact values: CHANGED."));
  CHECK(text.find("### What failed") < text.find("\n|"));
  CHECK(text.find("### What failed") < text.find("### What is not known"));
}

TEST_CASE("Markdown is never longer than it may be, and says how many rows it left out", "[comparison][markdown]") {
  const Json document = with_changed_cases(9000, "demo/a-case-with-a-long-name-");
  const std::string text = render_comparison_markdown(document);
  CHECK(text.size() <= kSummaryBytes);
  CHECK(text.size() > kSummaryBytes - 4096);
  CHECK_THAT(text, Contains("rows left out: the text would be longer than it may be. The document has all.") &&
                       EndsWith("</details>\n"));
  const std::string comment = render_comparison_markdown(document, kCommentBytes);
  CHECK(comment.size() <= kCommentBytes);
  CHECK(comment.substr(0, 4096) == text.substr(0, 4096));  // what failed comes first
  const auto rows = std::count(comment.begin(), comment.end(), '\n');
  CHECK(rows > 100);
}

TEST_CASE("one text that is longer than the Markdown may be is left out whole", "[comparison][markdown]") {
  Json document = with_changed_cases(3, "demo/");
  document["cases"][0]["changes"][0]["field"] = std::string(2 << 20, 'f');
  const std::string text = render_comparison_markdown(document);
  CHECK(text.size() <= kSummaryBytes);
  CHECK_THAT(text, Contains("3 rows left out") && StartsWith("**kvproof compare"));
}

TEST_CASE("texts of a comparison stay texts in Markdown", "[comparison][markdown]") {
  for (const std::string& name : testing::example_names()) {
    const std::string plain = render_comparison_markdown(testing::with_text_everywhere(example(name), "plain"));
    for (const std::string& text : testing::hostile_texts()) {
      const std::string made = render_comparison_markdown(testing::with_text_everywhere(example(name), text));
      CAPTURE(name, text, made);
      REQUIRE(lines_of(made).size() == lines_of(plain).size());
      for (const char* markup : {"<script", "<!--", "[a](", "@everyone", "@SUM", "http://x"})
        REQUIRE(outside_code(made).find(markup) == std::string::npos);
      std::size_t begun = 0, ended = 0;
      for (const std::string& line : lines_of(made)) {
        begun += line.rfind("<details>", 0) == 0;
        ended += line == "</details>";
        REQUIRE(line.rfind("::", 0) != 0);
        if (line.rfind("| ", 0) != 0) continue;
        std::size_t bars = 0;  // of the table's own
        for (std::size_t i = 0; i < line.size(); ++i) bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
        REQUIRE((bars == 5 || bars == 7 || bars == 11));
      }
      REQUIRE(begun == ended);
    }
  }
}

// --- JUnit

TEST_CASE("JUnit's outcomes of a comparison: failure, error and skipped, by tier", "[comparison][junit]") {
  const auto outcomes = [](const std::string& name) {
    pugi::xml_document document;
    REQUIRE(document.load_string(render_comparison_junit(example(name)).c_str()));
    std::vector<std::string> all;
    for (const auto& suite : document.child("testsuites").children("testsuite"))
      for (const auto& test : suite.children("testcase"))
        for (const char* element : {"failure", "error", "skipped"})
          if (const auto outcome = test.child(element))
            all.push_back(std::string(suite.attribute("name").value()) + ": " + element + " " +
                          outcome.attribute("type").value() + " " + test.attribute("name").value());
    return all;
  };
  using Words = std::vector<std::string>;
  CHECK(outcomes("fine") == Words{});
  CHECK(outcomes("regressed") == Words{"times: skipped  demo/decode engine_prefill cpu",
                                       "times: failure REGRESSED demo/decode engine_decode cpu",
                                       "floors: failure REGRESSED demo/rows speedup_decode"});
  CHECK(outcomes("changed") == Words{"exact: failure CHANGED demo/decode", "exact: failure CHANGED demo/italy",
                                     "exact: failure CHANGED demo/long", "exact: failure MISSING demo/old",
                                     "exact: error INCOMPARABLE demo/threads",
                                     "exact: error INCOMPARABLE demo/broken"});
  CHECK(outcomes("incomparable") == Words{"exact: error INCOMPARABLE demo/prefill",
                                          "exact: error INCOMPARABLE demo/decode", "times: error INCOMPARABLE times"});
}

TEST_CASE("JUnit counts a comparison's tests, by tier and in all", "[comparison][junit]") {
  pugi::xml_document document;
  REQUIRE(document.load_string(render_comparison_junit(example("regressed")).c_str()));
  const auto root = document.child("testsuites");
  const auto counts = [](const pugi::xml_node& node) {
    std::string text;
    for (const char* name : {"tests", "failures", "errors", "skipped"})
      text += node.attribute(name).value() + std::string(" ");
    return text;
  };
  CHECK(counts(root) == "11 2 0 1 ");
  std::vector<std::string> suites;
  for (const auto& suite : root.children("testsuite"))
    suites.push_back(suite.attribute("name").value() + (": " + counts(suite)));
  CHECK(suites ==
        std::vector<std::string>{"exact: 3 0 0 0 ", "times: 4 1 0 1 ", "report only: 2 0 0 0 ", "floors: 2 1 0 0 "});
}

TEST_CASE("texts of a comparison stay texts in JUnit", "[comparison][junit]") {
  for (const std::string& name : testing::example_names()) {
    for (const std::string& text : testing::hostile_texts()) {
      const std::string made = render_comparison_junit(testing::with_text_everywhere(example(name), text));
      CAPTURE(name, text, made);
      pugi::xml_document document;
      REQUIRE(document.load_string(made.c_str()));
      const auto tests = [](const pugi::xml_document& xml) {
        return std::string(xml.child("testsuites").attribute("tests").value());
      };
      pugi::xml_document plain;
      REQUIRE(plain.load_string(testing::golden(name, "junit.xml").c_str()));
      REQUIRE(tests(document) == tests(plain));
      for (const std::string& line : lines_of(made))
        REQUIRE(line.rfind("::", line.find_first_not_of(' ')) != line.find_first_not_of(' '));
    }
  }
}

// --- CSV

TEST_CASE("a comparison's CSV has a row for each change, time, control and floor", "[comparison][csv]") {
  const auto rows = csv_rows(render_comparison_csv(example("regressed")));
  CHECK(rows[0] == comparison_csv_columns());
  REQUIRE(rows.size() == 1 + 3 + 6 + 2 + 2);
  for (const auto& row : rows) CHECK(row.size() == rows[0].size());
  CHECK(cell(rows, 6, "tier") == "time");
  CHECK(cell(rows, 6, "case") == "demo/decode");
  CHECK(cell(rows, 6, "metric") == "engine_decode cpu");
  CHECK(cell(rows, 6, "ratio") == "1.0534");
  CHECK(cell(rows, 6, "confirmed") == "true");
  CHECK(cell(rows, 6, "confirmation_ratio") == "1.0489");
  CHECK(cell(rows, 4, "confirmed") == "");
  CHECK(cell(rows, 10, "tier") == "control");
  CHECK(cell(rows, 13, "floor") == "3.4");
  const auto changed = csv_rows(render_comparison_csv(example("changed")));
  CHECK(cell(changed, 3, "field") == "engine.tokens");
  CHECK(cell(changed, 3, "place") == "row 0, token 17");
  CHECK(cell(changed, 3, "base") == "468");
  CHECK(cell(changed, 3, "accepted") == "false");
  CHECK(cell(changed, 4, "accepted") == "true");
}

TEST_CASE("texts of a comparison stay texts in CSV, each on one line", "[comparison][csv]") {
  for (const std::string& name : testing::example_names()) {
    for (const std::string& text : testing::hostile_texts()) {
      const std::string made = render_comparison_csv(testing::with_text_everywhere(example(name), text));
      CAPTURE(name, text, made);
      const auto rows = csv_rows(made), plain = csv_rows(testing::golden(name, "csv"));
      REQUIRE(rows.size() == plain.size());
      REQUIRE(lines_of(made).size() == rows.size());
      for (const auto& row : rows) {
        REQUIRE(row.size() == rows[0].size());
        for (const std::string& field : row) {
          const auto first = field.find_first_not_of(' ');
          REQUIRE_FALSE((first != std::string::npos && std::string("=+@").find(field[first]) != std::string::npos));
        }
      }
      for (const std::string& line : lines_of(made)) REQUIRE(line.rfind("::", 0) != 0);
    }
  }
}

// --- annotations

TEST_CASE("annotations are escaped as GitHub wants it, in properties also colons and commas",
          "[comparison][annotations]") {
  Json document = example("incomparable");
  document["cases"] = Json::array({document["cases"][0]});
  document["timing"] = nullptr;
  document["cases"][0]["id"] = "100 %, a: b";
  document["cases"][0]["reason"] = "50 %, a: b";
  CHECK(github_annotations(document, "a,b:c%.yaml") ==
        "::warning file=a%2Cb%3Ac%25.yaml,title=INCOMPARABLE 100 %25%2C a%3A b::50 %25, a: b\n");
  CHECK(github_annotations(document, "") == "::warning title=INCOMPARABLE 100 %25%2C a%3A b::50 %25, a: b\n");
  CHECK_THAT(github_annotations(document, "a\r\nb"), StartsWith("::warning file=a\\r%0Ab,title="));
}

TEST_CASE("of each kind there are ten annotations at most, and the last says how many more",
          "[comparison][annotations]") {
  const auto lines = [](int count) { return lines_of(github_annotations(with_changed_cases(count, "demo/"), "")); };
  const auto errors = [&](int count) {
    const auto all = lines(count);
    return std::count_if(all.begin(), all.end(),
                         [](const std::string& line) { return line.rfind("::error ", 0) == 0; });
  };
  CHECK(errors(1) == 1);
  CHECK(errors(10) == 10);
  CHECK_THAT(lines(10)[9], Contains("title=CHANGED demo/9::"));
  CHECK(errors(11) == 10);
  CHECK_THAT(lines(11)[9], Contains("title=kvproof compare::2 more like these"));
  CHECK(errors(500) == 10);
  CHECK_THAT(lines(500)[9], Contains("::491 more like these"));
}

TEST_CASE("texts of a comparison never begin a line of the annotations", "[comparison][annotations]") {
  for (const std::string& name : testing::example_names()) {
    const auto plain = lines_of(github_annotations(testing::with_text_everywhere(example(name), "plain"), ""));
    for (const std::string& text : testing::hostile_texts()) {
      const std::string made = github_annotations(testing::with_text_everywhere(example(name), text), text);
      const auto lines = lines_of(made);
      CAPTURE(name, text, made);
      REQUIRE(lines.size() == plain.size());
      for (std::size_t i = 0; i < lines.size(); ++i) {
        REQUIRE(lines[i].substr(0, lines[i].find(' ')) == plain[i].substr(0, plain[i].find(' ')));
        const auto properties = lines[i].substr(0, lines[i].find("::", 2));
        REQUIRE(std::count(properties.begin(), properties.end(), ',') <= 1);
      }
      for (const char c : made) REQUIRE((static_cast<unsigned char>(c) >= 0x20 || c == '\n'));
    }
  }
}
