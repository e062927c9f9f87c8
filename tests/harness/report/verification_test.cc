// A verification's document as the terminal shows it: the lines that count, to the letter; no line too long; colour only on demand.
#include "harness/report/verification.h"

#include <algorithm>
#include <sstream>

#include "harness/error.h"
#include "harness/record/record.h"
#include "harness/report/text.h"
#include "tests/support/catch.h"

using namespace kvproof;
using Catch::Matchers::Contains;

namespace {

Json tally(int64_t checks, int64_t failures, const Json& worst) {
  return {{"checks", checks}, {"failures", failures}, {"worst_error", worst}, {"worst_ratio", worst}};
}

/// A short document that passes; the others are made of it.
Json passing() {
  Json document = Json::parse(R"({
    "schema": {"name": "kvproof-verify", "version": 1},
    "verdict": "PASS", "explanation": "the cached output is that of recomputation", "wrong": [],
    "subject": {"name": "kvproof aten", "backend": "aten", "dtype": "float32", "device": "cpu", "threads": 1},
    "depth": "quick", "seed": 1,
    "model": {
      "vectors": {"generations": 8, "positions": 310, "streams": 12, "worst": 1.6e-13, "allowed": 1e-10, "checks": 322, "failures": 0,
                  "worst_error": 1.6e-13, "worst_ratio": 0.0016, "findings": []},
      "oracle": {"tokens": 8, "positions": 8, "worst": 2.1e-14, "allowed": 1.5e-9, "constants": {"checks": 40, "failures": 0},
                 "logits": {"checks": 8, "failures": 0}, "findings": []},
      "against_ours": null, "broke_off": null},
    "levels": {}, "scenarios": 2, "longest_sequence": 130, "first_divergence": null,
    "in_use": {"failures": 0, "scenarios": []}, "latent": {"failures": 0, "scenarios": [], "first_divergence": null},
    "calibration": {
      "float64": {"unit": "max_abs", "worst_benign": 1.2e-14, "gate": 1.1e-9, "smallest_negative": 4.5e-4,
                  "smallest_negative_name": "one cached key + 0.001, layer 2", "benign": [], "negative": [], "doubts": []},
      "float32": {"unit": "R", "worst_benign": 0.93, "gate": 8.0, "smallest_negative": 81234.0,
                  "smallest_negative_name": "one cached token is missing", "benign": [], "negative": [], "doubts": []}},
    "metrics": {"positions": 16, "max_abs": 3.1e-6, "nmse": 1.2e-13, "kl_mean": 2.5e-13, "kl_p99": 1.1e-12, "kl_max": 1.4e-12,
                "same_top1": 1.0, "divergent_tokens": 0, "first_divergent_position": null, "slope_per_position": 2.2e-9},
    "not_covered": ["stop tokens and tools on this model: it has no tokenizer"], "outcomes": [],
    "checkpoint": "sft/d4 step 160", "planted": null, "exit_code": 0, "reproduce": null})");
  const char* names[] = {"invariants", "tokens", "logits", "keys and values", "side state", "behaviour"};
  for (int i = 0; i < 6; ++i) document["levels"]["L" + std::to_string(i)] = {{"name", names[i]}};
  for (const char* dtype : {"float64", "float32"}) {
    Json outcome = {{"name", std::string("decode[6,2]/") + dtype}, {"seed", 1}, {"failed", false}};
    outcome["levels"] = {{"L0", tally(21, 0, 0)}, {"L2", tally(8, 0, 0.0042)}, {"L3", tally(64, 0, 0.125)}};
    document["outcomes"].push_back(outcome);
  }
  return document;
}

Json failing() {
  Json document = passing();
  document["verdict"] = "FAIL";
  document["wrong"] = {"cache"};
  document["explanation"] = "cache wrong: the engine turns keys by the wrong position";
  document["exit_code"] = 5;
  document["reproduce"] = "kvproof verify --seed 7 --only 'decode[6,2]/float64'";
  document["outcomes"][0]["failed"] = true;
  document["in_use"] = {{"failures", 1}, {"scenarios", {"decode[6,2]/float64"}}};
  document["outcomes"][0]["levels"]["L3"] = tally(64, 3, 2.5e9);
  document["first_divergence"] = Json::parse(R"({
    "scenario": "decode[6,2]/float64", "seed": 7, "level": "L3", "step": 2, "operation": "decode", "row": 0, "layer": 1,
    "stage": "cache", "tensor": "K", "head": 3, "position": 6, "error": 0.3, "allowed": 1e-10,
    "message": "slot 6 holds another key than recomputation gives", "evidence": "K differs but V matches, from the first decode on",
    "suspect": "position", "hint": "the engine turns keys by the wrong position"})");
  return document;
}

Json doubtful() {
  Json document = passing();
  document["verdict"] = "INCONCLUSIVE";
  document["explanation"] = "float64: 2 of 10 negative controls do not show in the logits";
  document["exit_code"] = 3;
  Json& c = document["calibration"]["float64"];
  c["smallest_negative"] = 0.0;
  c["doubts"] = {
      "2 of 10 negative controls do not show in the logits (one cached key + 0.001, layer 2, …): with these weights a "
      "broken cache could pass"};
  return document;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

bool has_line(const std::string& text, const std::string& line) {
  const auto lines = lines_of(text);
  return std::find(lines.begin(), lines.end(), line) != lines.end();
}

}  // namespace

TEST_CASE("a passed verification reads from what was checked to the verdict", "[report][verification]") {
  const std::string text = render_verification(passing(), false, 100);
  CHECK(text == R"(kvproof verify sft/d4 step 160

  subject       kvproof aten, float32, cpu, 1 thread; quick, seed 1
  Python        equal: logits at 310 positions and 12 token streams of nanochat's own code, 8
                generations; worst logit 1.6e-13, 1.0e-10 is allowed
  oracle        equal: 40 constants and the logits of 8 positions, 8 tokens at most; worst 2.1e-14,
                1.5e-09 is allowed
  cache         2 scenarios, up to 130 positions

  level                    float64  failed    worst     float32  failed    worst
  L0 invariants                 21       0        –          21       0        –
  L1 tokens                      –       –        –           –       –        –
  L2 logits                      8       0  0.00420           8       0  0.00420
  L3 keys and values            64       0    0.125          64       0    0.125
  L4 side state                  –       –        –           –       –        –
  L5 behaviour                   –       –        –           –       –        –
  Checks made; worst: the largest error in units of what is allowed.

  logits        float32 against the reference at 16 positions: max abs 3.1e-06, NMSE 1.2e-13, KL
                mean 2.5e-13, p99 1.1e-12, max 1.4e-12 nats, same top-1 100 %, error per position
                2.2e-09

Could it have failed?

  float64       worst harmless change 1.2e-14 < gate 1.1e-09 < smallest harm 4.5e-04 (one cached key
                + 0.001, layer 2)
  float32       worst harmless change R 0.930 < gate R 8.00 < smallest harm R 81234 (one cached
                token is missing)

Not covered

  - stop tokens and tools on this model: it has no tokenizer

PASS: the cached output is that of recomputation
)");
}

TEST_CASE("a failed verification says where, what, whom it suspects, and how to see it again",
          "[report][verification]") {
  const std::string text = render_verification(failing(), false, 100);
  CHECK(has_line(text, "First divergence"));
  CHECK(has_line(text, "  scenario      decode[6,2]/float64, seed 7"));
  CHECK(has_line(text, "  where         decode (step 2), row 0, layer 1, stage cache, K, head 3, position 6"));
  CHECK(has_line(text, "  what          slot 6 holds another key than recomputation gives"));
  CHECK(has_line(text, "  suspect       position: the engine turns keys by the wrong position"));
  CHECK(has_line(text, "  evidence      K differs but V matches, from the first decode on"));
  CHECK(has_line(text, "  again         kvproof verify --seed 7 --only 'decode[6,2]/float64'"));
  CHECK(has_line(text, "  failed        1 of 2 scenarios: decode[6,2]/float64"));
  CHECK(has_line(text, "  L3 keys and values            64       3  2.5e+09          64       0    0.125"));
  CHECK(lines_of(text).back() == "FAIL: cache wrong: the engine turns keys by the wrong position");
}

TEST_CASE("what a finding has no place for is left out", "[report][verification]") {
  Json document = failing();
  for (const char* key : {"step", "row", "layer", "tensor", "head", "position"})
    document["first_divergence"][key] = nullptr;
  document["first_divergence"]["evidence"] = nullptr;
  document["reproduce"] = nullptr;
  const std::string text = render_verification(document, false, 100);
  CHECK(has_line(text, "  where         decode, stage cache"));
  CHECK_THAT(text, !Contains("  evidence"));
  CHECK_THAT(text, !Contains("  again"));
}

TEST_CASE("many failed scenarios are counted and the first eight named", "[report][verification]") {
  Json document = failing();
  for (int i = 0; i < 9; ++i) document["in_use"]["scenarios"].push_back("decode[6,2]/float64");
  document["in_use"]["failures"] = 10;
  document["scenarios"] = 11;
  const std::string text = render_verification(document, false, 400);
  CHECK_THAT(text, Contains("  failed        10 of 11 scenarios: decode[6,2]/float64, "));
  CHECK_THAT(text, Contains("decode[6,2]/float64, …\n"));
}

TEST_CASE("what a subject's own generation never does stands apart from what it does", "[report][verification]") {
  Json document = failing();
  document["latent"] = {
      {"failures", 1}, {"scenarios", {"chunks[3,1,4]/float64"}}, {"first_divergence", document["first_divergence"]}};
  document["latent"]["first_divergence"]["scenario"] = "chunks[3,1,4]/float64";
  CHECK(has_line(render_verification(document, false, 400),
                 "  latent        of what its own generate never reaches, 1 scenario failed likewise"));
  document["latent"]["first_divergence"]["suspect"] = "mask";
  std::string text = render_verification(document, false, 400);
  CHECK(has_line(text, "First divergence, in use"));
  CHECK(has_line(text, "Latent: not reached by the subject's own generate"));
  CHECK_THAT(text, Contains("1 of 2 scenarios: chunks[3,1,4]/float64\n"));
  // Nothing in use: the latent one alone is shown, with the command that runs it again.
  document["in_use"] = {{"failures", 0}, {"scenarios", Json::array()}};
  document["first_divergence"] = document["latent"]["first_divergence"];
  text = render_verification(document, false, 400);
  CHECK_THAT(text, !Contains("First divergence"));
  CHECK_THAT(text, Contains("  again         kvproof verify"));
}

TEST_CASE("a subject behind the protocol is shown with what talking to it costs", "[report][verification]") {
  Json document = passing();
  document["checkpoint"] = nullptr;
  document["protocol"] = {
      {"name", "kvproof-subject/1"}, {"call_ns", 16500}, {"step_ns", 21000}, {"payload_bytes", 8192},
      {"decode_ns", 79000},          {"error", nullptr}, {"restarts", 2}};
  document["model"]["against_ours"] = {{"tokens", 8},
                                       {"positions", 8},
                                       {"worst", 1e-6},
                                       {"allowed", 1e-4},
                                       {"logits", tally(8, 0, 0.01)},
                                       {"findings", Json::array()}};
  const std::string text = render_verification(document, false, 400);
  CHECK(has_line(text, "kvproof verify kvproof aten"));
  CHECK(has_line(
      text,
      "  protocol      16.5 us a call, 21.0 us with a row of logits (8192 bytes); 79.0 us of a decode step are not in "
      "its own clock; a new child had to "
      "be started 2 times"));
  CHECK(has_line(text,
                 "  model         equal: its uncached logits against our engine's at 8 positions, 8 tokens at "
                 "most; worst 1.0e-06, 1.0e-04 is allowed"));
}

TEST_CASE("doubts stand beside the numbers that raise them, in their true order", "[report][verification]") {
  const std::string text = render_verification(doubtful(), false, 400);
  CHECK(has_line(text,
                 "  float64       worst harmless change 1.2e-14 < gate 1.1e-09 > smallest harm 0 (one cached key + "
                 "0.001, layer 2)"));
  CHECK(has_line(text,
                 "                2 of 10 negative controls do not show in the logits (one cached key + 0.001, layer "
                 "2, …): with these weights a broken cache could pass"));
  CHECK(lines_of(text).back() == "INCONCLUSIVE: float64: 2 of 10 negative controls do not show in the logits");
  Json document = doubtful();
  document["calibration"]["float64"]["worst_benign"] = nullptr;  // infinite
  document["calibration"]["float64"]["smallest_negative"] =
      document["calibration"]["float64"]["smallest_negative_name"] = nullptr;
  CHECK(has_line(render_verification(document, false, 400),
                 "  float64       worst harmless change – > gate 1.1e-09; no harm was tried"));
}

TEST_CASE("a wrong model is told with its first findings", "[report][verification]") {
  Json document = failing();
  document["model"]["vectors"]["failures"] = 5;
  document["model"]["oracle"]["constants"]["failures"] = 1;
  for (const char* message : {"softcap: expected 15, found 20", "second", "third", "fourth"})
    document["model"]["oracle"]["findings"].push_back({{"message", message}});
  document["model"]["broke_off"] = "out of memory";
  const std::string text = render_verification(document, false, 100);
  CHECK_THAT(text, Contains("  Python        DIFFERENT in 5 of 322 comparisons: logits at 310 positions"));
  CHECK_THAT(text, Contains("  oracle        DIFFERENT: 40 constants"));
  CHECK(has_line(text, "                softcap: expected 15, found 20"));
  CHECK(has_line(text, "                third"));
  CHECK_FALSE(has_line(text, "                fourth"));
  CHECK(has_line(text, "                out of memory"));
}

TEST_CASE("seeds are shown whole, however large", "[report][verification]") {
  Json document = failing();
  document["seed"] = document["first_divergence"]["seed"] = 18446744073709551615u;
  const std::string text = render_verification(document, false, 100);
  CHECK_THAT(text, Contains("quick, seed 18446744073709551615\n"));
  CHECK_THAT(text, Contains("decode[6,2]/float64, seed 18446744073709551615\n"));
}

TEST_CASE("no line is wider than 80 columns, even on narrower terminals", "[report][verification]") {
  for (const int width : {20, 80}) {
    for (Json document : {passing(), failing(), doubtful()}) {
      document["outcomes"][0]["levels"]["L4"] = tally(12345678, 1234567, 1.5e300);
      for (const std::string& line : lines_of(render_verification(document, false, width))) {
        CAPTURE(line);
        CHECK(display_width(line) <= 80);
      }
    }
  }
}

TEST_CASE("colour codes are there on demand alone, and change no word", "[report][verification]") {
  for (const Json& document : {passing(), failing(), doubtful()}) {
    const std::string plain = render_verification(document, false, 100);
    CHECK(plain.find('\x1b') == std::string::npos);
    std::string coloured = render_verification(document, true, 100);
    CHECK(coloured.find('\x1b') != std::string::npos);
    for (auto at = coloured.find('\x1b'); at != std::string::npos; at = coloured.find('\x1b'))
      coloured.erase(at, coloured.find('m', at) - at + 1);
    // Blanks at the ends of coloured lines stay inside the codes.
    std::string trimmed;
    for (std::string line : lines_of(coloured)) trimmed += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    CHECK(trimmed == plain);
  }
  CHECK_THAT(render_verification(passing(), true, 100), Contains("\x1b[32mPASS: \x1b[0m"));
  CHECK_THAT(render_verification(failing(), true, 100), Contains("\x1b[1;31mFAIL: \x1b[0m"));
  CHECK_THAT(render_verification(doubtful(), true, 100), Contains("\x1b[33mINCONCLUSIVE: \x1b[0m"));
}

TEST_CASE("nothing a terminal obeys comes through from a document", "[report][verification]") {
  Json document = failing();
  document["first_divergence"]["hint"] = "\x1b[2J";
  document["checkpoint"] = "a\nb";
  const std::string text = render_verification(document, false, 100);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(lines_of(text)[0] == "kvproof verify a\\nb");
}

TEST_CASE("a damaged document is an error with the field at fault", "[report][verification]") {
  Json document = passing();
  document.erase("levels");
  CHECK_THROWS_AS(render_verification(document, false, 100), RecordError);
  document = passing();
  document["verdict"] = 3;
  CHECK_THROWS_WITH(render_verification(document, false, 100), Contains("/verdict"));
}

TEST_CASE("faults are listed by class, with the reason where one cannot show", "[report][verification]") {
  const Json document = Json::parse(R"({"faults": [
    {"name": "position-zero-in-decode", "class": "position", "summary": "decode turns by position 0", "seen": null, "place": null,
     "applicable": true, "reason": null},
    {"name": "window-one-wider", "class": "window", "summary": "one key too many", "seen": null, "place": null,
     "applicable": false, "reason": "the model has no sliding window"}]})");
  CHECK(render_faults(document, false, 120) ==
        "position\n"
        "  position-zero-in-decode                   decode turns by position 0\n"
        "\n"
        "window\n"
        "  window-one-wider                          one key too many; not applicable: the model has no sliding "
        "window\n");
  for (const std::string& line : lines_of(render_faults(document, false, 80))) CHECK(display_width(line) <= 80);
}

TEST_CASE("the kill matrix marks survivors and wrong places, and ends in sums and a verdict",
          "[report][verification]") {
  Json document =
      Json::parse(R"({"faults": 3, "planted": 3, "killed": 2, "localised": 1, "benign_runs": 1000, "false_alarms": 1,
    "alarms": ["decode[9,3]/float32, seed 17, as it is, on d4: position 3 differs"], "passed": false, "matrix": [
    {"name": "a", "levels": ["L2", "L3"], "cheapest": "L2", "killed": true, "localised": true, "suspect": "position"},
    {"name": "b", "levels": ["L0"], "cheapest": "L0", "killed": true, "localised": false, "suspect": "clone"},
    {"name": "c", "levels": [], "cheapest": null, "killed": false, "localised": false, "suspect": null}]})");
  const auto lines = lines_of(render_self_test(document, false, 100));
  REQUIRE(lines.size() == 10);
  CHECK(lines[0] == "kvproof verify --self-test");
  CHECK(lines[2] == "  fault                                     killed by           cheapest  localised as");
  CHECK(lines[3] == "  a                                         L2 L3               L2        position");
  CHECK(lines[4] == "  b                                         L0                  L0        clone  WRONG PLACE");
  CHECK(lines[5] == "  c                                         SURVIVED            –         –  WRONG PLACE");
  CHECK(lines[7] == "  3 faults: 2 killed, 1 localised. 1000 harmless runs: 1 false alarms.");
  CHECK(lines[8] == "  - decode[9,3]/float32, seed 17, as it is, on d4: position 3 differs");
  CHECK(lines[9] == "FAIL");
  document["passed"] = true;
  CHECK(lines_of(render_self_test(document, false, 100)).back() == "PASS");
}
