#include "harness/report/export/csv.h"

#include <algorithm>
#include <map>

#include "harness/analysis/crossover.h"
#include "harness/error.h"
#include "harness/report/export/escape.h"
#include "tests/harness/report/export/records.h"

using namespace kvproof;
using testing::file_text;
using testing::sample;

namespace {

// A reader of RFC 4180: rows of fields.
std::vector<std::vector<std::string>> parsed(const std::string& text) {
  std::vector<std::vector<std::string>> rows;
  std::size_t at = 0;
  while (at < text.size()) {
    std::vector<std::string>& row = rows.emplace_back();
    for (bool more = true; more;) {
      std::string& field = row.emplace_back();
      if (text[at] == '"') {
        for (++at; text.at(at) != '"' || text.at(at + 1) == '"'; ++at) {
          if (text[at] == '"') ++at;
          field += text[at];
        }
        ++at;
      } else {
        while (text.at(at) != ',' && text[at] != '\r') field += text[at++];
      }
      more = text.at(at) == ',';
      REQUIRE((more || text.substr(at, 2) == "\r\n"));
      at += more ? 1 : 2;
    }
  }
  return rows;
}

// By column.
std::vector<std::map<std::string, std::string>> records_of(const std::string& text) {
  const auto rows = parsed(text);
  std::vector<std::map<std::string, std::string>> records;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    REQUIRE(rows[i].size() == rows[0].size());
    auto& record = records.emplace_back();
    for (std::size_t column = 0; column < rows[0].size(); ++column) record[rows[0][column]] = rows[i][column];
  }
  return records;
}

}  // namespace

TEST_CASE("the CSV of the sample record is this one, character by character", "[report][csv]") {
  CHECK(render_csv(sample()) == file_text("tests/data/report/sample.csv"));
}

TEST_CASE("CSV has a row for each path of each case and one for a case that failed", "[report][csv]") {
  const auto rows = records_of(render_csv(sample()));
  REQUIRE(rows.size() == 2 * 5 + 1);
  CHECK(rows[0].at("case") == "demo/france");
  CHECK(rows[0].at("path") == "naive");
  CHECK(rows[1].at("case") == "demo/france");
  CHECK(rows[1].at("path") == "engine");
  CHECK(rows[1].at("token_forwards") == "69");
  CHECK(rows[1].at("kv_cache_bytes") == "573440");
  CHECK(rows[1].at("prefill_tok_per_s_median") == "1831.845");
  CHECK(rows[1].at("ttft_ns_median") == "3300826");
  CHECK(rows[1].at("itl_ns_p50") == "636313.5");
  CHECK(rows[1].at("speedup_decode_low") == "7.0995");
  CHECK(rows[1].at("mbu_median") == "0.424812");
  CHECK(rows[1].at("checkpoint_xxh128") == "0a7d4c7cf5d2a3b1908e6f5d4c3b2a19");
  CHECK(rows[1].at("compiler_flags") == "'-O3 -DNDEBUG");
  const auto& failed = rows.back();
  CHECK(failed.at("path").empty());
  CHECK(failed.at("status") == "failed");
  CHECK(failed.at("error_place") == "prompts.long");
  CHECK(failed.at("started") == "2026-11-22T10:15:00Z");
  CHECK(failed.at("seed").empty());
}

TEST_CASE("CSV leaves empty what is null and keeps withheld speed-ups with their reason", "[report][csv]") {
  const auto rows = records_of(render_csv(sample()));
  CHECK(rows[0].at("itl_ns_p99").empty());
  CHECK(rows[0].at("top_k").empty());
  CHECK(rows[7].at("speedup_withheld") == "the outputs disagree: row 0 parts at step 5");
  CHECK(rows[7].at("speedup_e2e").empty());
  CHECK(rows[8].at("tpot_ns_median").empty());
  CHECK(rows[8].at("mbu_median").empty());
  CHECK(rows[8].at("speedup_verified") == "false");
  CHECK(rows[8].at("checkpoint_xxh128").empty());
}

TEST_CASE("CSV has the crossover's figures: of a curve by path, break-even and efficiency of the case",
          "[report][csv]") {
  const Json record = sample();
  const auto rows = records_of(render_csv(record));
  const Json figures = figures_of(crossover(View(record["cases"][0])));
  for (const auto& [row, path] : {std::pair{0, "naive"}, std::pair{1, "engine"}}) {
    for (const char* name : {"step_ns_at_zero", "step_ns_per_token", "growth_exponent"})
      CHECK(rows[row].at(name) == figures[path][name].dump());
    CHECK(rows[row].at("break_even_tokens") == figures["break_even_tokens"].dump());
    CHECK(rows[row].at("of_ceiling") == figures["of_ceiling"].dump());
  }
  CHECK(rows[2].at("step_ns_per_token").empty());  // 14 steps make no curve
  CHECK_FALSE(rows[2].at("break_even_tokens").empty());
  CHECK(rows[7].at("break_even_tokens").empty());  // withheld
  CHECK(rows.back().at("break_even_tokens").empty());
}

TEST_CASE("CSV says how deep a case was, whether the run is whole and in how many processes it ran", "[report][csv]") {
  Json record = sample();
  const auto older = records_of(render_csv(record));
  for (const char* name : {"depth_tokens", "partial", "sessions"}) CHECK(older[0].at(name).empty());
  record["partial"] = true;
  record["sessions"] = {"2026-11-22T10:15:00Z", "2026-11-22T11:00:00Z"};
  record["cases"][0]["shape"]["depth"] = 512;
  const auto rows = records_of(render_csv(record));
  CHECK(rows[0].at("depth_tokens") == "512");
  CHECK(rows[0].at("partial") == "true");
  CHECK(rows[0].at("sessions") == "2");
}

TEST_CASE("every column of the CSV has a name of its own and is told in results/README.md", "[report][csv]") {
  auto names = csv_columns();
  const std::string readme = file_text("results/README.md");
  for (std::string name : names) {
    CAPTURE(name);
    CHECK(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789") == std::string::npos);
    for (const std::string end : {"_median", "_min", "_max", "_low", "_high", "_p50", "_p90", "_p95", "_p99"})
      if (name.ends_with(end)) name.resize(name.size() - end.size());
    CHECK(readme.find("`" + name + "`") != std::string::npos);
  }
  std::sort(names.begin(), names.end());
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
}

TEST_CASE("whatever texts a record has, CSV gives them back", "[report][csv]") {
  const std::string text = GENERATE(from_range(testing::hostile_texts()));
  CAPTURE(text);
  const Json record = testing::with_text_everywhere(sample(), text);
  const auto rows = records_of(render_csv(record));
  REQUIRE(rows.size() == 2 * 5 + 1);
  const std::string shown = printable(text + "demo/france");
  // A spreadsheet would calculate it; it shows this one as text.
  const bool formula = text.find_first_not_of(' ') != std::string::npos &&
                       std::string("=+-@").find(text[text.find_first_not_of(' ')]) != std::string::npos;
  CHECK(rows[0].at("case") == (formula ? "'" + shown : shown));
  CHECK(rows[0].at("path") == "naive");
  CHECK(rows[1].at("token_forwards") == "69");
  CHECK(rows[10].at("error_message").find(printable(text + "needs 5200 positions")) <= (formula ? 1u : 0u));
  const std::string csv = render_csv(record);
  CHECK(std::none_of(csv.begin(), csv.end(), [](unsigned char c) { return c < 0x20 && c != '\n' && c != '\r'; }));
}

TEST_CASE("numbers are never taken for formulas, texts always", "[report][csv]") {
  Json record = sample();
  record["cases"][0]["speedup"]["e2e"]["ratio"] = -1.5;
  record["cases"][0]["prompt"]["name"] = "-1.5";
  const auto rows = records_of(render_csv(record));
  CHECK(rows[0].at("speedup_e2e") == "-1.5");
  CHECK(rows[0].at("prompt") == "'-1.5");
}

TEST_CASE("a record of before runs verified becomes CSV, too", "[report][csv]") {
  const auto rows = records_of(render_csv(testing::older_sample()));
  CHECK(rows[0].at("verification").empty());
  CHECK(rows[0].at("mfu_median").empty());
  CHECK(rows[0].at("agreement") == "AGREE");
}

TEST_CASE("CSV of a damaged record is an error that names the field", "[report][csv]") {
  Json record = sample();
  SECTION("a field is missing") {
    record["cases"][1]["paths"]["engine"]["metrics"].erase("ttft_ns");
    CHECK_THROWS_WITH(render_csv(record),
                      Catch::Matchers::Contains("/cases/1/paths/engine/metrics/ttft_ns: expected a value"));
  }
  SECTION("a field has another type") {
    record["cases"][2]["settings"]["run"]["threads"] = "two";
    CHECK_THROWS_WITH(render_csv(record),
                      Catch::Matchers::Contains("/cases/2/settings/run/threads: expected a number, found string"));
  }
  SECTION("the machine is missing") {
    record.erase("machine");
    CHECK_THROWS_AS(render_csv(record), RecordError);
  }
}
