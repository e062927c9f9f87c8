#include "harness/report/export/markdown.h"

#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <sstream>

#include "harness/analysis/crossover.h"
#include "harness/error.h"
#include "harness/report/export/escape.h"
#include "tests/harness/report/export/records.h"

using namespace kvproof;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using testing::file_text;
using testing::sample;

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string line_with(const std::string& text, const std::string& part) {
  for (const std::string& line : lines_of(text))
    if (line.find(part) != std::string::npos) return line;
  return "no line with " + part;
}

// Cells of a table's row, as GitHub cuts it: at bars without a backslash.
std::size_t cells_of(const std::string& row) {
  std::size_t bars = 0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (row[i] == '\\')
      ++i;
    else if (row[i] == '|')
      ++bars;
  }
  return bars - 1;
}

// What stands outside of code spans, where markup is obeyed.
std::string without_code(const std::string& line) {
  std::string rest;
  for (std::size_t at = 0; at < line.size();) {
    if (line[at] == '\\' && at + 1 < line.size()) {
      rest += line.substr(at, 2);
      at += 2;
      continue;
    }
    if (line[at] != '`') {
      rest += line[at++];
      continue;
    }
    const std::size_t run = std::min(line.find_first_not_of('`', at), line.size()) - at;
    std::size_t end = at + run;
    for (;;) {
      end = line.find(std::string(run, '`'), end);
      REQUIRE(end != std::string::npos);  // a span that nothing ends
      const std::size_t length = std::min(line.find_first_not_of('`', end), line.size()) - end;
      if (length == run) break;
      end += length;
    }
    at = end + run;
  }
  return rest;
}

}  // namespace

TEST_CASE("the Markdown of the sample record is this one, character by character", "[report][markdown]") {
  CHECK(render_markdown(sample()) == file_text("tests/data/report/sample.md"));
}

TEST_CASE("Markdown begins with the verdict in one bold line", "[report][markdown]") {
  CHECK(lines_of(render_markdown(sample()))[0] ==
        "**kvproof: 6 cases: 2 AGREE, 1 TIE, 1 UNVERIFIED, 1 DISAGREE, 1 FAILED; verification: 1 PASS. Exit code 5: "
        "the outputs of naive and engine disagree. Measurements: 3 VALID, 2 INVALID.**");
}

TEST_CASE("a case is one row with both paths, speed-ups and their intervals", "[report][markdown]") {
  const std::string row = line_with(render_markdown(sample()), "`demo/france`");
  CHECK_THAT(row,
             Contains("| pp6 tg64 | AGREE | PASS |") && Contains("1823 (4 %)<br>1832 (4 %)<br>1.00x [0.99, 1.03]"));
  CHECK_THAT(row, Contains("289.3 ms<br>43.42 ms<br>6.66x [6.63, 6.70]") && Contains("3.317 ms<br>3.301 ms |"));
}

TEST_CASE("a speed-up that nobody verified has a question mark, one withheld its reason", "[report][markdown]") {
  const std::string text = render_markdown(sample());
  CHECK_THAT(line_with(text, "| `bare/ids"), Contains("1.00x?") && Contains("**INVALID**"));
  CHECK_THAT(line_with(text, "| `demo/italy"), Contains("speed-up withheld") && !Contains("x ["));
  CHECK_THAT(text, Contains("speed-up of `demo/italy` withheld: the outputs disagree: row 0 parts at step 5"));
  CHECK_THAT(text, Contains("speed-up of `bare/ids/run.verify=off` with a question mark: not verified"));
}

TEST_CASE("the cases with a curve have a row each in a table of growth", "[report][markdown]") {
  Json record = sample();
  const Crossover cross = crossover(View(record["cases"][0]));
  const std::string text = render_markdown(record);
  const std::string table = text.substr(text.find("### How does the time of a token grow?"));
  const std::string row = line_with(table, "| `demo/france`");
  CHECK(cells_of(row) == 8);
  CHECK_THAT(row, Contains("| 6 … 68 | naive<br>engine |"));
  CHECK_THAT(row, Contains(fmt::format("{:.2f} µs<br>{:.4f} µs", cross.naive->line.slope / 1e3,
                                       cross.engine->line.slope / 1e3)));
  CHECK_THAT(row, Contains(fmt::format("| {:.2f}<br>{:.2f} |", *cross.naive->exponent, *cross.engine->exponent)));
  CHECK_THAT(row, Contains(fmt::format("| token {} | {:.0f} % |", *cross.break_even, 100 * *cross.of_ceiling)));
  CHECK_THAT(line_with(table, "| `demo/tool`"), StartsWith("no line"));
  record["cases"][0]["speedup"]["verified"] = false;
  CHECK_THAT(render_markdown(record), Contains(fmt::format("| token {}? | ", *cross.break_even)));
  record["cases"][0]["speedup"] = record["cases"][3]["speedup"];
  CHECK_THAT(render_markdown(record), Contains("| withheld | – |"));
  record["cases"].erase(0);
  CHECK_THAT(render_markdown(record), !Contains("### How does the time"));
}

TEST_CASE("an interrupted run says so in the first line, a run gone on with when its processes began",
          "[report][markdown]") {
  Json record = sample();
  record["partial"] = true;
  record["exit_code"] = 130;
  record["sessions"] = {"2026-11-22T10:15:00Z", "2026-11-22T11:00:00Z"};
  const std::string text = render_markdown(record);
  CHECK_THAT(lines_of(text)[0], Contains("Exit code 130: interrupted"));
  CHECK_THAT(
      text,
      Contains("- cut off and gone on with; its processes began `2026-11-22T10:15:00Z`, `2026-11-22T11:00:00Z`\n"));
  record["sessions"].erase(1);
  CHECK_THAT(render_markdown(record), !Contains("gone on with"));
}

TEST_CASE("failures have their place and the command that shows them again", "[report][markdown]") {
  Json record = sample();
  record["command"] = {"kvproof", "run", "my configs/a.yaml"};
  Json& one = record["verifications"][0];
  one["verdict"] = "FAIL";
  one["explanation"] = "cache wrong: window";
  one["first_divergence"] = {{"scenario", "chunks[1,2]/float64"}, {"message", "off by 0.1"}};
  one["reproduce"] = "kvproof verify --only 'chunks[1,2]/float64'";
  const std::string text = render_markdown(record);
  CHECK_THAT(line_with(text, "**DISAGREE** `demo/italy`"),
             Contains("First divergence: row 0, step 5; naive: token 1858, engine: token 468."));
  CHECK_THAT(line_with(text, "**FAILED** `demo/long`"), Contains("capacity error: prompts.long: needs 5200 positions"));
  CHECK_THAT(text, Contains("\n- to see the cases again: `kvproof run 'my configs/a.yaml'`\n"));
  CHECK(line_with(text, "**FAIL** verification") ==
        "- **FAIL** verification of `demo float32`: cache wrong: window; first `chunks[1,2]/float64`: off by 0.1; to "
        "see it "
        "again: `kvproof verify --only 'chunks[1,2]/float64'`");
}

TEST_CASE("nothing failed, nothing to note, nothing to warn of: no such headings", "[report][markdown]") {
  Json record = sample();
  record["cases"] = Json::array({record["cases"][0]});
  record["verifications"] = Json::array();
  record["warnings"] = Json::array();
  record["exit_code"] = 0;
  const std::string text = render_markdown(record);
  for (const char* heading : {"### Failures", "### Notes", "### Warnings"}) CHECK_THAT(text, !Contains(heading));
  CHECK_THAT(text, StartsWith("**kvproof: 1 case: 1 AGREE. Exit code 0: fine. Measurements: 1 VALID.**\n"));
}

TEST_CASE("whatever texts a record has, Markdown shows them and obeys none", "[report][markdown]") {
  const std::string text = GENERATE(from_range(testing::hostile_texts()));
  CAPTURE(text);
  const std::string plain = render_markdown(sample());
  const std::string markdown = render_markdown(testing::with_text_everywhere(sample(), text));
  const auto lines = lines_of(markdown), plain_lines = lines_of(plain);
  REQUIRE(lines.size() == plain_lines.size());
  CHECK(markdown.find(markdown_code(text + "demo/france")) != std::string::npos);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    CAPTURE(lines[i]);
    if (plain_lines[i].starts_with("|")) CHECK(cells_of(lines[i]) == cells_of(plain_lines[i]));
    CHECK(std::none_of(lines[i].begin(), lines[i].end(), [](unsigned char c) { return c < 0x20; }));
    const std::string rest = std::regex_replace(without_code(lines[i]),
                                                std::regex("</?(code|span|details|summary)>|<br>|&#?[a-z0-9]+;"), "?");
    CHECK(rest.find('<') == std::string::npos);
    CHECK(rest.find("http://") == std::string::npos);
    CHECK(rest.find("@everyone") == std::string::npos);
    CHECK_FALSE(std::regex_search(rest, std::regex("[^\\\\]\\]\\(")));  // a link
    if (lines[i].starts_with("- ")) CHECK(std::string("-+=#> ").find(lines[i][2]) == std::string::npos);
  }
}

TEST_CASE("a record of before runs verified becomes Markdown, too", "[report][markdown]") {
  const std::string text = render_markdown(testing::older_sample());
  CHECK_THAT(line_with(text, "`demo/france`"), Contains("| AGREE | – |") && Contains("1823<br>1832<br>1.00x"));
}

TEST_CASE("Markdown of a damaged record is an error that names the field", "[report][markdown]") {
  Json record = sample();
  SECTION("a field is missing") {
    record["cases"][3]["agreement"]["tokens"]["first_divergence"].erase("step");
    CHECK_THROWS_WITH(render_markdown(record),
                      Contains("/cases/3/agreement/tokens/first_divergence/step: expected a value"));
  }
  SECTION("a field has another type") {
    record["warnings"] = "none";
    CHECK_THROWS_WITH(render_markdown(record), Contains("/warnings: expected an array, found string"));
  }
}
