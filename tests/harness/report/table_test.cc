#include "harness/report/table.h"

#include <cstdlib>
#include <fstream>
#include <regex>
#include <sstream>

#include "harness/report/text.h"
#include "tests/support/catch.h"

using namespace kvproof;

namespace {

Json sample() { return read_record(testing::source_path("tests/data/record/sample.json")); }

std::string file_text(const std::string& relative) {
  std::ifstream stream(testing::source_path(relative));
  return {std::istreambuf_iterator<char>(stream), {}};
}

// The lines from the first that contains `from` up to the next empty one.
std::string block(const std::string& table, const std::string& from) {
  const auto found = table.find(from);
  if (found == std::string::npos) return "no line with " + from;
  const auto begin = table.rfind('\n', found) + 1;
  return table.substr(begin, table.find("\n\n", begin) + 1 - begin);
}

std::string after(const std::string& table, const std::string& heading) { return table.substr(table.find(heading)); }

// Case `index` of the sample, its rows' generated tokens and completions set for both paths.
struct Row {
  std::vector<int> naive, engine;
  std::string naive_text, engine_text;
};
Json with_rows(std::size_t index, const std::vector<Row>& rows) {
  Json record = sample();
  Json& one = record["cases"][index];
  const Json first = one["paths"]["naive"]["rows"][0];
  const auto P = one["shape"]["P"].get<std::size_t>();
  for (const char* path : {"naive", "engine"}) {
    Json& list = one["paths"][path]["rows"] = Json::array();
    for (const Row& row : rows) {
      const bool naive = std::string(path) == "naive";
      Json out = first;
      out["tokens"] = one["prompt"]["tokens"];
      REQUIRE(out["tokens"].size() == P);
      for (const int token : naive ? row.naive : row.engine) out["tokens"].push_back(token);
      out["completion"] = naive ? row.naive_text : row.engine_text;
      list.push_back(out);
    }
  }
  one["shape"]["rows"] = rows.size();
  record["cases"] = Json::array({one});
  return record;
}

}  // namespace

TEST_CASE("the table of the sample record is this one, character by character", "[report]") {
  const int width = GENERATE(80, 100, 120);
  const std::string file = "tests/data/record/sample_" + std::to_string(width) + ".txt";
  CAPTURE(file);
  CHECK(render_table(sample(), false, width) == file_text(file));
}

TEST_CASE("a narrow terminal gets the table of 80 columns", "[report]") {
  CHECK(render_table(sample(), false, 20) == render_table(sample(), false, 80));
}

TEST_CASE("no line is wider than the terminal", "[report]") {
  Json record = sample();
  record["cases"][0]["id"] = std::string(130, 'i');
  record["cases"][1]["prompt"]["text"] = std::string(300, 'p');
  record["checkpoints"][0]["name"] = std::string(60, 'n');
  record["checkpoints"][0]["path"] = std::string(200, '/');
  record["config"]["file"] = "/home/" + std::string(70, 'y') + "/demo.yaml";
  const int width = GENERATE(80, 81, 99, 100, 101, 140);
  CAPTURE(width);
  std::istringstream lines(render_table(record, false, width));
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    CHECK(display_width(line) <= width);
    CHECK((line.empty() || line.back() != ' '));
  }
}

TEST_CASE("colours change nothing of the text", "[report]") {
  const int width = GENERATE(80, 100);
  const std::string coloured = render_table(sample(), true, width);
  CHECK_THAT(coloured,
             Catch::Matchers::Contains("\x1b[32m  AGREE") && Catch::Matchers::Contains("\x1b[1;31m  DISAGREE"));
  CHECK(std::regex_replace(coloured, std::regex("\x1b\\[[0-9;]*m"), "") == render_table(sample(), false, width));
}

TEST_CASE("nothing in a record reaches the terminal as a control character", "[report]") {
  Json record = sample();
  const std::string evil = "\x1b]0;x\x07\n\u202e";
  for (const char* pointer : {"/config/file",
                              "/started",
                              "/checkpoints/0/name",
                              "/checkpoints/0/path",
                              "/checkpoints/1/ambiguities/0",
                              "/machine/cpu_model",
                              "/machine/os",
                              "/machine/peaks/0/dtype",
                              "/kvproof/commit",
                              "/cases/0/id",
                              "/cases/0/shape/label",
                              "/cases/0/prompt/text",
                              "/cases/0/paths/naive/rows/0/completion",
                              "/cases/2/agreement/explanation",
                              "/cases/3/speedup/withheld",
                              "/cases/4/validity/reasons/0",
                              "/cases/5/error/message",
                              "/cases/5/error/place",
                              "/verifications/0/checkpoint",
                              "/verifications/0/dtype",
                              "/verifications/0/verdict",
                              "/warnings/0"}) {
    record[Json::json_pointer(pointer)] = evil + "text";
  }
  const std::string table = render_table(record, false, 100);
  CHECK(table.find('\x1b') == std::string::npos);
  CHECK(table.find('\x07') == std::string::npos);
  CHECK(table.find("\u202e") == std::string::npos);
}

TEST_CASE("texts that part late are shown around the place where they part", "[report]") {
  const std::string same(90, 'a');
  const std::string table =
      render_table(with_rows(0, {{{1, 2, 3}, {1, 2, 4}, same + " cat", same + " dog"}}), false, 100);
  CHECK(block(after(table, "What came out?"), "naive   ") ==
        "    naive   …aaaaaaaaaaaaaaaaaaaa cat\"\n"
        "    engine  …aaaaaaaaaaaaaaaaaaaa dog\"\n"
        "                                  ^ they part at step 2\n");
}

TEST_CASE("the mark stands under the first other character, wide ones before it", "[report]") {
  // 43 columns; what is left out of them ends within a character.
  const std::string same = "日本日本日本日本日本日本日本日本日本日本日a";
  const std::string table =
      after(render_table(with_rows(0, {{{1}, {2}, same + "x", same + "y"}}), false, 80), "What came out?");
  CHECK(block(table, "naive   ") ==
        "    naive   …本日本日本日本日ax\"\n"
        "    engine  …本日本日本日本日ay\"\n"
        "                              ^ they part at step 0\n");
}

TEST_CASE("other tokens with the same text are called that", "[report]") {
  const std::string table = render_table(with_rows(0, {{{1, 2}, {1, 3}, "fin", "fin"}}), false, 100);
  CHECK(block(after(table, "What came out?"), "naive   ") ==
        "    naive   \"fin\"\n    engine  \"fin\"\n            the same text, but other tokens from step 1 on\n");
}

TEST_CASE("a path that ended early parts where it ended", "[report]") {
  const std::string table = render_table(with_rows(0, {{{1, 2}, {}, "ab", ""}}), false, 100);
  CHECK(block(after(table, "What came out?"), "naive   ") ==
        "    naive   \"ab\"\n    engine  \"\"\n             ^ they part at step 0\n");
}

TEST_CASE("of many rows those that differ are shown first, and the rest is counted", "[report]") {
  std::vector<Row> rows(11, Row{{1}, {1}, "x", "x"});
  rows[9] = {{1}, {2}, "x", "y"};
  const std::string table = after(render_table(with_rows(0, rows), false, 100), "What came out?");
  CHECK(block(table, "row 0") ==
        "    row 0   both    \"x\"\n    row 1   both    \"x\"\n    row 2   both    \"x\"\n"
        "    row 9   naive   \"x\"\n            engine  \"y\"\n                     ^ they part at step 0\n"
        "                    7 more rows in the record\n");
}

TEST_CASE("a run whose cases all failed has neither speeds nor outputs", "[report]") {
  Json record = sample();
  record["cases"] = Json::array({record["cases"][5]});
  record["verifications"] = Json::array();
  record["exit_code"] = 6;
  const std::string table = render_table(record, false, 100);
  CHECK_THAT(table, Catch::Matchers::Contains("run      no case ran\n"));
  CHECK(table.find("How fast is it?") == std::string::npos);
  CHECK(table.find("What came out?") == std::string::npos);
  CHECK_THAT(table, Catch::Matchers::Contains("1 case: 1 FAILED. Exit code 6: a measurement or its data failed.\n"));
}

TEST_CASE("a failed verification says what is wrong, where, and how to see it again", "[report]") {
  Json record = sample();
  Json& v = record["verifications"][0];
  v["verdict"] = "FAIL";
  v["explanation"] = "cache wrong: the engine turns keys by the wrong position";
  v["first_divergence"] = {{"scenario", "decode[1,4]/float64"}, {"message", "the key is 0.3 off"}};
  v["reproduce"] = "kvproof verify --synthetic d2 --only 'decode[1,4]/float64'";
  const std::string why = "verification failed: " + v["explanation"].get<std::string>();
  Json& cell = record["cases"][0];
  cell["verification"]["verdict"] = "FAIL";
  cell["validity"] = {{"verdict", "INVALID"}, {"reasons", Json::array({why})}};
  cell["speedup"] = {
      {"withheld", why}, {"e2e", nullptr}, {"prefill", nullptr}, {"decode", nullptr}, {"verified", false}};
  record["cases"] = Json::array({cell});
  record["exit_code"] = 5;
  const std::string table = render_table(record, false, 120);
  CHECK(block(table, "verification  FAIL") ==
        "  verification  FAIL  demo float32: cache wrong: the engine turns keys by the wrong position\n"
        "                      first  decode[1,4]/float64: the key is 0.3 off\n"
        "                      again  kvproof verify --synthetic d2 --only 'decode[1,4]/float64'\n");
  CHECK_THAT(table, Catch::Matchers::Contains("    speed-up    withheld\n"
                                              "    INVALID: verification failed: cache wrong: the engine turns keys by "
                                              "the wrong position\n"));
  CHECK_THAT(table, Catch::Matchers::Contains("1 case: 1 AGREE; verification: 1 FAIL. Exit code 5: verification "
                                              "failed: the engine is wrong.\n"));
}

TEST_CASE("an undecided verification says why, and its speed-ups carry a question mark", "[report]") {
  Json record = sample();
  record["verifications"][0]["verdict"] = "INCONCLUSIVE";
  record["verifications"][0]["explanation"] = "float64: nothing shows";
  Json& cell = record["cases"][0];
  cell["verification"]["verdict"] = "INCONCLUSIVE";
  cell["speedup"]["verified"] = false;
  record["cases"] = Json::array({cell});
  record["exit_code"] = 0;
  const std::string table = render_table(record, false, 120);
  CHECK_THAT(table, Catch::Matchers::Contains("  verification  INCONCLUSIVE  demo float32: float64: nothing shows\n"));
  CHECK_THAT(table, Catch::Matchers::Contains("6.66x?"));
  CHECK_THAT(table,
             Catch::Matchers::Contains("    ? not verified: with this model a broken cache might not have shown\n"));
  CHECK_THAT(table, Catch::Matchers::Contains("1 case: 1 AGREE; verification: 1 INCONCLUSIVE. Exit code 0: fine.\n"));
}

TEST_CASE("verifications of one model that differ in threads alone are told apart", "[report]") {
  Json record = sample();
  record["verifications"].push_back(record["verifications"][0]);
  record["verifications"][1]["threads"] = 1;
  const std::string table = render_table(record, false, 120);
  CHECK_THAT(table, Catch::Matchers::Contains("  verification  PASS  demo float32, cpu, 2 threads: ") &&
                        Catch::Matchers::Contains("  verification  PASS  demo float32, cpu, 1 thread: ") &&
                        Catch::Matchers::Contains("; verification: 2 PASS. Exit code 5"));
}

TEST_CASE("a record of before runs verified has a table without verification", "[report]") {
  Json record = sample();
  record.erase("verifications");
  for (Json& cell : record["cases"]) cell.erase("verification");
  const std::string table = render_table(record, false, 100);
  CHECK(table.find("verification") == std::string::npos);
  CHECK_THAT(table, Catch::Matchers::Contains("? not verified: nobody knows"));
}

TEST_CASE("a record of before peaks were measured has a table without them", "[report]") {
  Json record = sample();
  record["machine"].erase("peaks");
  for (Json& cell : record["cases"]) {
    if (!cell.contains("paths")) continue;
    for (const char* path : {"naive", "engine"}) cell["paths"][path].erase("utilization");
  }
  const std::string table = render_table(record, false, 100);
  CHECK(table.find("peaks") == std::string::npos);
  CHECK(table.find("(%)") == std::string::npos);
  CHECK_THAT(table, Catch::Matchers::Contains("1832                1570          69\n"));
}

TEST_CASE("shares of the peaks stand beside their rates, and what was not measured has none", "[report]") {
  Json record = sample();
  record["cases"] = Json::array({record["cases"][0]});
  Json& engine = record["cases"][0]["paths"]["engine"]["utilization"];
  engine["prefill"]["mfu"]["median"] = 0.004;
  engine["decode"]["mbu"]["median"] = 1.04;  // in cache a little more than was measured beside it can be
  Json& naive = record["cases"][0]["paths"]["naive"]["utilization"];
  naive["prefill"]["mfu"] = naive["decode"]["mbu"] = nullptr;
  CHECK_THAT(render_table(record, false, 100), Catch::Matchers::Contains("1832 (<1 %)        1570 (104 %) ") &&
                                                   Catch::Matchers::Contains("1823               220.3 ") &&
                                                   Catch::Matchers::Contains(" (%):"));
  engine = nullptr;
  CHECK(render_table(record, false, 100).find("(%)") == std::string::npos);
}

TEST_CASE("peaks have a line for each number of threads and dtype; a rate that is not there is left out", "[report]") {
  Json record = sample();
  Json more = record["machine"]["peaks"][0];
  more["threads"] = 1;
  more["dtype"] = "bfloat16";
  more["read"] = Json::array({more["read"][2]});
  record["machine"]["peaks"].push_back(more);
  more["gemm"][0]["flops_per_s"] = more["gemm"][1]["flops_per_s"] = more["read"][0]["bytes_per_s"] = nullptr;
  record["machine"]["peaks"].push_back(more);
  CHECK_THAT(render_table(record, false, 120),
             Catch::Matchers::Contains(
                 "  peaks    2 threads, float32: reads in cache 363.1 GB/s, out of it 31.9 GB/s; multiplies at 329.6 "
                 "GFLOP/s\n"
                 "           1 thread, bfloat16: reads out of it 31.9 GB/s; multiplies at 329.6 GFLOP/s\n"
                 "           1 thread, bfloat16: –\n"));
}

TEST_CASE("every exit code has its meaning", "[report]") {
  struct Line {
    int code;
    const char* text;
  };
  const auto row =
      GENERATE(Line{0, "Exit code 0: fine."}, Line{1, "Exit code 1: a regression is confirmed."},
               Line{2, "Exit code 2: the command line or the config is wrong."}, Line{3, "Exit code 3: inconclusive."},
               Line{4, "Exit code 4: there is nothing to compare with."},
               Line{70, "Exit code 70: a bug in kvproof: please report it."});
  Json record = sample();
  record["exit_code"] = row.code;
  CHECK_THAT(render_table(record, false, 140), Catch::Matchers::Contains(row.text));
}

TEST_CASE("what an engine's own clock says stands below its speed-up", "[report]") {
  Json record = sample();
  record["cases"] = Json::array({record["cases"][0]});
  Json& metrics = record["cases"][0]["paths"]["engine"]["metrics"];
  CHECK(render_table(record, false, 100).find("own clock") == std::string::npos);
  metrics["own_prefill_ns"] = {{"median", 2000000}, {"min", 1}, {"max", 2}, {"n", 3}};
  metrics["own_tpot_ns"] = {{"median", 1040000}, {"min", 1}, {"max", 2}, {"n", 3}};
  metrics["tpot_ns"] = {{"median", 1240000}, {"min", 1}, {"max", 2}, {"n", 3}};
  CHECK(render_table(record, false, 120)
            .find("    own clock   prefill 2.000 ms, a decode step 1.040 ms; seen from here, sampling and protocol "
                  "included, 1.240 ms\n") != std::string::npos);
}

TEST_CASE("a long enough case shows how the time of a token grows in both paths", "[report]") {
  Json record = sample();
  Json& one = record["cases"][0];
  for (Json& sample : one["paths"]["naive"]["samples"]) {
    Json gaps = Json::array();
    for (int i = 0; i < 64; ++i) gaps.push_back(1'000'000 + 100'000 * i);
    sample["itl_ns"] = gaps;
  }
  for (Json& sample : one["paths"]["engine"]["samples"]) sample["itl_ns"] = std::vector<int>(64, 800'000);
  const std::string text = after(render_table(record, false, 80), "How does the time of a token grow?");
  const std::string curves = block(text, "tokens before it");
  CHECK_THAT(curves, Catch::Matchers::Contains("    naive, ms             1.550    2.800    4.100    5.400    6.700  ▂▄▅▇█\n"));
  CHECK_THAT(curves, Catch::Matchers::Contains("    engine, ms            0.800    0.800    0.800    0.800    0.800  ▁▁▁▁▁\n"));
  CHECK_THAT(curves, Catch::Matchers::Contains("naive 100.0 µs, engine 0 µs, of which reading"));
}

TEST_CASE("a case without a speed-up is not said to pay, one that is not verified with a question mark", "[report]") {
  Json record = sample();
  record["cases"][0]["speedup"]["verified"] = false;
  CHECK_THAT(render_table(record, false, 120), Catch::Matchers::Contains("of the speed-up that FLOPs allow (?: not verified)\n"));
  record["cases"][0]["speedup"]["withheld"] = "the outputs disagree";
  const std::string table = render_table(record, false, 120);
  CHECK_THAT(table, Catch::Matchers::Contains("grows with power"));
  CHECK_THAT(table, !Catch::Matchers::Contains("    pays "));
}

TEST_CASE("tokens that were in the cache before are not counted as generated", "[report]") {
  Json record = sample();
  Json& shape = record["cases"][0]["shape"];
  REQUIRE(shape["P"] == 6);
  shape["P"] = 2;
  shape["depth"] = 4;
  shape["label"] = "pp2 tg64 @ d4";
  const std::string table = render_table(record, false, 120);
  CHECK_THAT(block(table, "AGREE       demo/france"), Catch::Matchers::Contains("  64      1 of 1"));
  CHECK_THAT(table, Catch::Matchers::Contains("both    \" Paris."));
}

TEST_CASE("cases of few tokens show no growth", "[report]") {
  Json record = sample();
  record["cases"].erase(0);
  CHECK_THAT(render_table(record, false, 80), !Catch::Matchers::Contains("How does the time of a token grow?"));
}

TEST_CASE("settings that differ between cases are all named", "[report]") {
  Json record = sample();
  record["cases"][1]["settings"]["run"]["dtype"] = "bfloat16";
  record["cases"][1]["settings"]["naive"]["logits"] = "last";
  CHECK_THAT(render_table(record, false, 200),
             Catch::Matchers::Contains("run      aten, float32, cpu, 2 threads | aten, bfloat16, cpu, 2 threads; naive "
                                       "computes logits of all positions, "
                                       "as nanochat does | of the last position only\n"));
}

TEST_CASE("a record with a missing or odd field gives an error that names it", "[report]") {
  Json record = sample();
  record["cases"][1]["agreement"].erase("verdict");
  CHECK_THROWS_WITH(render_table(record, false, 100),
                    "/cases/1/agreement/verdict: expected a value, found nothing; the record is damaged");
  record = sample();
  record["cases"][0]["paths"]["engine"]["metrics"]["e2e_ns"]["median"] = "fast";
  CHECK_THROWS_WITH(
      render_table(record, false, 100),
      "/cases/0/paths/engine/metrics/e2e_ns/median: expected a number, found string; the record is damaged");
}
