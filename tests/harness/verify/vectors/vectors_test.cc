// The embedded vectors pass, and say what is wrong where something is.
#include "harness/verify/vectors/vectors.h"

#include <ATen/ATen.h>

#include <cmath>
#include <fstream>
#include <iterator>

#include "engine/error.h"
#include "harness/verify/vectors/embedded.h"
#include "harness/verify/vectors/vector_case.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

TEST_CASE("every generation's vectors are embedded, byte by byte", "[vectors]") {
  const auto generations = embedded_generations();
  REQUIRE(generations.size() == golden_generations().size());
  const auto read = [](const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    REQUIRE(in);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  for (std::size_t i = 0; i < generations.size(); ++i) {
    const EmbeddedGeneration& files = generations[i];
    CAPTURE(files.name);
    CHECK(files.name == golden_generations()[i]);
    const std::string folder = golden_path(files.name);
    const bool same = files.model == read(folder + "/base_checkpoints/d4/model_000050.pt") &&
                      files.meta == read(folder + "/base_checkpoints/d4/meta_000050.json") &&
                      files.tokenizer == read(folder + "/tokenizer/tokenizer.pkl") &&
                      files.outputs == read(folder + "/golden.json") && files.tensors == read(folder + "/golden.pt");
    CHECK(same);
  }
}

TEST_CASE("all vectors pass", "[vectors][golden]") {
  const VectorReport report = check_vectors();
  for (const Finding& finding : report.findings) UNSCOPED_INFO(finding.place.operation << ": " << finding.message);
  CHECK(report.findings.empty());
  CHECK(report.generations == 8);
  CHECK(report.positions > 8 * 200);
  CHECK(report.streams > 8 * 5);
  CHECK(report.tally.failures == 0);
  CHECK(report.tally.checks > 8 * 30);
  CHECK(report.worst <= kVectorTolerance);  // worst seen 8.3e-6
  CHECK(report.worst > 0);
}

// --- what is wrong is said ------------------------------------------------------------------------------------------

namespace {

const EmbeddedGeneration& head_files() { return embedded_generations().back(); }

struct Head {
  VectorCase c{head_files()};
  VectorReport report;
  VectorNotes notes{c, &report};
};

}  // namespace

TEST_CASE("logits beyond the tolerance are one finding, with the first position and the worst", "[vectors]") {
  Head head;
  const at::Tensor& expected = head.c.tensors.at("logits.1");  // (19, V)
  std::vector<double> found = values_of(expected);
  head.notes.logits("full recompute of prompt 1", found, expected, 0);
  CHECK(head.report.findings.empty());
  found[5 * 331 + 7] += 3e-5;
  found[9 * 331 + 330] -= 0.25;
  head.notes.logits("full recompute of prompt 1", found, expected, 0);
  REQUIRE(head.report.findings.size() == 1);
  const Finding& finding = head.report.findings[0];
  CHECK(finding.level == Level::logits);
  CHECK(finding.place.operation == "head: full recompute of prompt 1");
  CHECK(finding.place.position == 5);
  CHECK(finding.message == "expected Python's logits within 2e-05, found them 2.5e-01 away at position 9");
  CHECK(finding.evidence == "2 of 19 positions are beyond, the first is 5");
  CHECK(head.report.tally.checks == 2);
  CHECK(head.report.tally.failures == 1);
  CHECK(head.report.positions == 38);
}

TEST_CASE("logits that are no numbers, and too few of them, are findings", "[vectors]") {
  Head head;
  const at::Tensor& expected = head.c.tensors.at("logits.1");
  std::vector<double> found = values_of(expected);
  found[0] = std::nan("");
  head.notes.logits("full recompute of prompt 1", found, expected, 0);
  REQUIRE(head.report.findings.size() == 1);
  CHECK(head.report.findings[0].place.position == 0);
  found.pop_back();
  head.notes.logits("full recompute of prompt 1", found, expected, 0);
  REQUIRE(head.report.findings.size() == 2);
  CHECK(head.report.findings[1].message == "expected 6289 logits, as Python gives, found 6288");
  CHECK(head.report.tally.failures == 2);
}

TEST_CASE("keys and values beyond the tolerance name layer, tensor and position", "[vectors]") {
  Head head;
  const at::Tensor expected = head.c.tensors.at("kv.v")[2][0];  // (34, 2, 16)
  at::Tensor found = expected.clone();
  found[20][1][3] += 0.5;
  head.notes.cached(2, "V", found, expected);
  REQUIRE(head.report.findings.size() == 1);
  const Finding& finding = head.report.findings[0];
  CHECK(finding.level == Level::keys_values);
  CHECK(finding.place.layer == 2);
  CHECK(finding.place.tensor == "V");
  CHECK(finding.place.position == 20);
  CHECK(finding.message == "expected Python's V of layer 2 within 2e-05, found it 5.0e-01 away at position 20");
}

TEST_CASE("other tokens and other masks name row and step", "[vectors]") {
  Head head;
  head.notes.stream("decoding", 3, {{1, 2, 3}, {1, 1, 1}}, {{1, 2, 3}, {1, 1, 1}});
  CHECK(head.report.findings.empty());
  head.notes.stream("decoding", 3, {{1, 2, 9}, {1, 1, 1}}, {{1, 2, 3}, {1, 1, 1}});
  head.notes.stream("decoding", 0, {{1, 2}, {1, 1}}, {{1, 2, 3}, {1, 1, 1}});
  head.notes.stream("decoding", 1, {{1, 2}, {1, 0}}, {{1, 2}, {1, 1}});
  const auto& findings = head.report.findings;
  REQUIRE(findings.size() == 3);
  CHECK(findings[0].message == "expected Python's token 3 at step 2, found token 9");
  CHECK(findings[0].level == Level::tokens);
  CHECK(findings[0].place.row == 3);
  CHECK(findings[0].place.step == 2);
  CHECK(findings[1].message == "expected Python's token 3 at step 2, found the row's end");
  CHECK(findings[2].message == "expected Python's tokens and masks, found its tokens with other masks");
  CHECK(findings[2].level == Level::behaviour);
  CHECK(head.report.streams == 4);
}

TEST_CASE("generators over a model that misreads its constants give other tokens than Python", "[vectors]") {
  Head head;
  const auto wrong = load_checkpoint_bytes({"wrong", head_files().model, head_files().meta}, {{"qk_scale", "0.5"}});
  check_generators(head.c, *make_model(wrong, {.dtype = "float32", .device = "cpu"}), 16, &head.notes);
  CHECK(head.report.findings.size() > 10);
  for (const Finding& finding : head.report.findings) CHECK(finding.level == Level::tokens);
}

TEST_CASE("a word that names no device or backend is the caller's fault, not a finding", "[vectors]") {
  CHECK_THROWS_AS(check_vectors({.backend = "auto", .device = "abacus"}), ArgumentError);
  CHECK_THROWS_AS(check_vectors({.backend = "abacus", .device = "cpu"}), ArgumentError);
}
