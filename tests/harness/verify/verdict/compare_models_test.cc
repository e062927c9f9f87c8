// Somebody's model against ours: the same weights agree in every dtype, another constant shows, at the right length.
#include "harness/verify/verdict/compare_models.h"

#include <cmath>

#include "engine/error.h"
#include "tests/harness/verify/verdict/bed.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

constexpr double kAmple = 100;  // seconds

struct Engine {
  Checkpoint checkpoint;
  std::unique_ptr<Model> model;
  std::unique_ptr<Subject> subject;

  explicit Engine(const std::string& dtype, Checkpoint made = small_checkpoint())
      : checkpoint(std::move(made)), model(make_model(checkpoint, {"auto", dtype, "cpu"})),
        subject(make_in_process_subject(*model, nullptr)) {}
  operator Subject&() { return *subject; }
};

/// theirs in a dtype, held against ours: small_checkpoint.
ModelReport against_ours(Subject& theirs, const std::string& dtype, double seconds = kAmple) {
  Engine naive(dtype == "float64" ? "float32" : dtype), exact("float64");
  return compare_models(theirs, naive, exact, 7, seconds);
}

/// A subject of which some numbers are another's.
class Changed final : public Subject {
 public:
  explicit Changed(Subject& inner) : inner_(inner), now(inner.info()) {}
  SubjectInfo info() const override { return now; }
  LogitRows uncached_logits(const std::vector<TokenId>& tokens, int64_t first, StageSink* sink) override {
    longest = std::max(longest, static_cast<int64_t>(tokens.size()));
    LogitRows rows = inner_.uncached_logits(tokens, first, sink);
    for (int64_t i = 0; i < rows.rows; ++i)
      if (first + i >= wrong_from) rows.values[static_cast<std::size_t>(i * rows.vocab)] += by;
    return rows;
  }
  std::unique_ptr<SubjectCache> new_cache(int64_t batch, int64_t capacity) override {
    return inner_.new_cache(batch, capacity);
  }
  GenerationResult generate(Path path, const GenerationRequest& request, GenerationObserver* observer) override {
    return inner_.generate(path, request, observer);
  }

 private:
  Subject& inner_;

 public:
  SubjectInfo now;
  int64_t wrong_from = 0, longest = 0;
  double by = 0;
};

}  // namespace

TEST_CASE("the same model agrees at every position, past each window and sequence_len", "[verdict][compare]") {
  for (const char* dtype : {"float64", "float32", "bfloat16"}) {
    CAPTURE(dtype);
    Engine theirs(dtype);
    const ModelReport report = against_ours(theirs, dtype);
    CHECK(report.logits.failures == 0);
    CHECK(report.findings.empty());
    CHECK(report.not_covered.empty());
    CHECK(report.constants.checks == 0);
    CHECK(report.tokens == 67);         // sequence_len 64, and 3
    CHECK(report.positions == 8 + 67);  // the windows of 5 and 64 keys end in these lengths
    CHECK(report.logits.checks == report.positions);
    CHECK(report.worst <= report.allowed);
    CHECK(report.allowed > 0);
  }
}

TEST_CASE("a model with another constant is found by its logits", "[verdict][compare]") {
  Engine theirs("float32", small_checkpoint("", {{"short_window", "5"}, {"softcap", "3"}}));
  const ModelReport report = against_ours(theirs, "float32");
  CHECK(report.logits.failures > 0);
  REQUIRE_FALSE(report.findings.empty());
  const Finding& first = report.findings.front();
  CHECK(first.level == Level::logits);
  CHECK(first.place.operation == "full recompute of 8 tokens");
  CHECK(first.place.position == 0);
  CHECK(first.error > first.allowed);
  CHECK(first.message.rfind("expected our engine's logits within ", 0) == 0);
  CHECK(report.worst >= first.error);
}

TEST_CASE("another window is right up to its edge", "[verdict][compare]") {
  Engine theirs("float64", small_checkpoint("", {{"short_window", "6"}}));
  const ModelReport report = against_ours(theirs, "float64");
  REQUIRE_FALSE(report.findings.empty());
  CHECK(report.findings.front().place.position == 6);  // the first to see 6 keys behind its own
}

TEST_CASE("the first position beyond is named, and how many are", "[verdict][compare]") {
  Engine same("float32");
  Changed theirs(*same.subject);
  theirs.wrong_from = 6;
  theirs.by = 0.25;
  const ModelReport report = against_ours(theirs, "float32");
  REQUIRE_FALSE(report.findings.empty());
  const Finding& first = report.findings.front();
  CHECK(first.place.position == 6);
  CHECK(first.evidence == "2 of 8 positions are beyond, the first is 6");
  CHECK(report.logits.failures == 2 + 61);
  CHECK(report.worst == Approx(0.25).epsilon(1e-3));

  theirs.by = NAN;
  const ModelReport of_nan = against_ours(theirs, "float32");
  CHECK(of_nan.logits.failures == 2 + 61);
  CHECK(std::isinf(of_nan.worst));
}

TEST_CASE("float64 is held to what two engines' float32 tables may differ by", "[verdict][compare]") {
  Engine same("float64");
  Changed theirs(*same.subject);
  theirs.by = 1e-7;  // far above float64's rounding
  CHECK(against_ours(theirs, "float64").logits.failures == 0);
  theirs.by = 1e-2;
  CHECK(against_ours(theirs, "float64").logits.failures > 0);
}

TEST_CASE("what the time or the subject's positions do not allow is left out", "[verdict][compare]") {
  Engine same("float32");
  const ModelReport little = against_ours(same, "float32", 1e-9);
  CHECK(little.tokens == 8);  // the least
  REQUIRE(little.not_covered.size() == 1);
  CHECK(little.not_covered.front() ==
        "the subject's model against ours on 67 tokens and more: they do not fit into the time");

  Changed shorter(*same.subject);
  shorter.now.rotary_len = 20;
  const ModelReport report = against_ours(shorter, "float32");
  CHECK(shorter.longest == 8);
  CHECK(report.findings.empty());
}

TEST_CASE("a subject whose positions end before sequence_len is told so", "[verdict][compare]") {
  Engine same("float32");
  Changed shorter(*same.subject);
  shorter.now.rotary_len = 20;
  const ModelReport report = against_ours(shorter, "float32");
  REQUIRE(report.not_covered.size() == 1);
  CHECK(report.not_covered.front() ==
        "the subject's model against ours on 67 tokens and more: its positions end at 20");
}

TEST_CASE("a subject of another vocabulary is refused with both sizes", "[verdict][compare]") {
  Engine other("float32", small_checkpoint("vocab_size=101"));
  CHECK_THROWS_WITH(against_ours(other, "float32"),
                    "--subject: its vocabulary has 101 tokens, the checkpoint's 97; give the checkpoint that it runs, "
                    "or no model flags");
}
