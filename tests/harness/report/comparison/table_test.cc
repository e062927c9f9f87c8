#include "harness/report/comparison/table.h"

#include <regex>
#include <sstream>

#include "harness/report/text.h"
#include "tests/harness/report/comparison/documents.h"

using namespace kvproof;
using Catch::Matchers::Contains;
using testing::example;

TEST_CASE("the tables of the example comparisons are these, character by character", "[comparison][table]") {
  for (const std::string& name : testing::example_names()) {
    for (const int width : {80, 120}) {
      CAPTURE(name, width);
      CHECK(render_comparison(example(name), false, width) == testing::golden(name, std::to_string(width) + ".txt"));
    }
  }
}

TEST_CASE("a narrow terminal gets a comparison's table of 80 columns", "[comparison][table]") {
  CHECK(render_comparison(example("regressed"), false, 20) == render_comparison(example("regressed"), false, 80));
}

TEST_CASE("no line of a comparison is wider than the terminal", "[comparison][table]") {
  Json document = example("regressed");
  document["config"]["file"] = "/home/" + std::string(90, 'y') + "/ci.yaml";
  document["base"]["name"] = std::string(200, 'n');
  document["cases"][0]["id"] = std::string(130, 'i');
  document["cases"][0]["verdict"] = "CHANGED";
  document["cases"][0]["changes"].push_back({{"field", std::string(90, 'f')},
                                             {"place", ""},
                                             {"base", std::string(200, 'v')},
                                             {"candidate", 1},
                                             {"accepted", false}});
  document["timing"]["metrics"][0]["case"] = std::string(150, 'c');
  document["timing"]["metrics"][0]["metric"] = std::string(100, 'm');
  document["timing"]["metrics"][1]["ratio"] = 1234.5;
  document["floors"][0]["case"] = std::string(100, 'c');
  document["verdict"]["reasons"][0] = std::string(300, 'r');
  const int width = GENERATE(80, 81, 99, 100, 101, 102, 140);
  CAPTURE(width);
  std::istringstream lines(render_comparison(document, false, width));
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    CHECK(display_width(line) <= width);
    CHECK((line.empty() || line.back() != ' '));
  }
}

TEST_CASE("colours change nothing of a comparison's text", "[comparison][table]") {
  for (const std::string& name : testing::example_names()) {
    CAPTURE(name);
    const std::string coloured = render_comparison(example(name), true, 100);
    CHECK_THAT(coloured, Contains("\x1b["));
    CHECK(std::regex_replace(coloured, std::regex("\x1b\\[[0-9;]*m"), "") ==
          render_comparison(example(name), false, 100));
  }
}

TEST_CASE("nothing of a comparison is obeyed by a terminal, or by the log of a workflow", "[comparison][table]") {
  for (const std::string& name : testing::example_names()) {
    for (const std::string& text : testing::hostile_texts()) {
      const std::string table = render_comparison(testing::with_text_everywhere(example(name), text), false, 80);
      CAPTURE(name, text, table);
      std::istringstream lines(table);
      for (std::string line; std::getline(lines, line);) {
        const auto first = line.find_first_not_of(' ');
        REQUIRE_FALSE((first != std::string::npos && line.compare(first, 2, "::") == 0));
        REQUIRE(line.find("##[") == std::string::npos);
      }
      for (const char c : table) REQUIRE((static_cast<unsigned char>(c) >= 0x20 || c == '\n'));
      REQUIRE(table.find("\u202e") == std::string::npos);
      REQUIRE(table.find("\u2028") == std::string::npos);
    }
  }
}

TEST_CASE("cases of which nothing changed are one line of the table", "[comparison][table]") {
  CHECK_THAT(render_comparison(example("regressed"), false, 80),
             Contains("  IDENTICAL     3 cases: agreement, tokens, token_forwards, kv_cache_bytes\n"));
}

TEST_CASE("of many reasons the last lines of the table are ten, and how many more there are", "[comparison][table]") {
  Json document = example("changed");
  for (int i = 0; i < 30; ++i) document["verdict"]["reasons"].push_back("reason " + std::to_string(i));
  const std::size_t all = document["verdict"]["reasons"].size();
  CHECK_THAT(render_comparison(document, false, 80),
             Catch::Matchers::EndsWith("\n  - and " + std::to_string(all - 10) + " more, as told above\n"));
}
