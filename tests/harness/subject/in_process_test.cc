#include <cmath>
#include <nlohmann/json.hpp>

#include <fstream>

#include "engine/error.h"
#include "engine/model/model.h"
#include "harness/subject/subject.h"
#include "tests/support/catch.h"

using namespace kvproof;
using kvproof::testing::source_path;

namespace {

struct HeadInFloat32 {
  Checkpoint checkpoint = load_checkpoint({source_path("harness/verify/vectors/generations/head"), {}, {}, {}});
  Tokenizer tokenizer = Tokenizer::load(checkpoint.location.tokenizer_dir);
  std::unique_ptr<Model> model = make_model(checkpoint, {"auto", "float32", "cpu"});
  std::unique_ptr<Subject> subject = make_in_process_subject(*model, &tokenizer);
};

double distance(std::span<const double> a, std::span<const double> b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

constexpr double kTolerance = 2e-5;  // worst seen 3.5e-6: shapes differ, so rounding does

}  // namespace

TEST_CASE("a subject says what runs") {
  const HeadInFloat32 head;
  const SubjectInfo info = head.subject->info();
  CHECK(info.name == "kvproof native");
  CHECK(info.backend == "native");
  CHECK(info.dtype == "float32");
  CHECK(info.device == "cpu");
  CHECK(info.threads >= 1);
  CHECK(info.vocab_size == 331);
  CHECK(info.rotary_len == 5120);
}

TEST_CASE("uncached logits carry their absolute positions") {
  const HeadInFloat32 head;
  const std::vector<TokenId> tokens = {5, 9, 2, 7, 11, 3};
  const LogitRows all = head.subject->uncached_logits(tokens, 0);
  CHECK(all.first_position == 0);
  CHECK(all.rows == 6);
  CHECK(all.vocab == 331);
  CHECK(all.values.size() == 6 * 331);
  const LogitRows tail = head.subject->uncached_logits(tokens, 4);
  CHECK(tail.first_position == 4);
  CHECK(tail.rows == 2);
  CHECK(distance(tail.at(4), all.at(4)) == 0);
  CHECK(distance(tail.at(5), all.at(5)) == 0);
  CHECK(distance(all.at(4), all.at(5)) > 0.1);

  const auto last_only = make_in_process_subject(*head.model, &head.tokenizer, LogitsAt::last);
  CHECK(distance(last_only->uncached_logits(tokens, 5).at(5), all.at(5)) <= kTolerance);
}

TEST_CASE("an impossible first position is refused") {
  const HeadInFloat32 head;
  CHECK_THROWS_WITH(head.subject->uncached_logits({5, 9}, 2), "first_position: must be in [0, 1], got 2");
  CHECK_THROWS_WITH(head.subject->uncached_logits({5, 9}, -1), "first_position: must be in [0, 1], got -1");
}

TEST_CASE("a cache filled in chunks gives the uncached logits at the same positions") {
  const HeadInFloat32 head;
  const std::vector<TokenId> tokens = {5, 9, 2, 7, 11, 3};
  const LogitRows expected = head.subject->uncached_logits(tokens, 0);
  const auto cache = head.subject->new_cache(1, 6);
  const LogitRows first = cache->forward(TokenBatch::single({5, 9, 2, 7}), LogitsAt::all).front();
  CHECK(first.first_position == 0);
  CHECK(first.rows == 4);
  CHECK(cache->length(0) == 4);
  const LogitRows last = cache->forward(TokenBatch::single({11, 3}), LogitsAt::last).front();
  CHECK(last.first_position == 5);
  CHECK(last.rows == 1);
  for (int64_t p = 0; p < 4; ++p) CHECK(distance(first.at(p), expected.at(p)) <= kTolerance);
  CHECK(distance(last.at(5), expected.at(5)) <= kTolerance);
  CHECK(cache->batch() == 1);
  CHECK(cache->bytes() == head.model->new_cache(1, 6).bytes());
}

TEST_CASE("rows of a clone go their own ways, rows of unequal length keep their positions") {
  const HeadInFloat32 head;
  const auto prefill = head.subject->new_cache(1, 3);
  prefill->forward(TokenBatch::single({5, 9, 2}), LogitsAt::last);
  const auto cache = prefill->clone_rows(std::vector<int64_t>{0, 0}, 8);
  TokenBatch ragged{2, 2, {7, 11, 4, 0}, {2, 1}};  // row 1 brings one token, the other id is padding
  const auto rows = cache->forward(ragged, LogitsAt::all);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].rows == 2);
  CHECK(rows[1].rows == 1);
  CHECK(rows[1].first_position == 3);
  CHECK(distance(rows[0].at(4), head.subject->uncached_logits({5, 9, 2, 7, 11}, 4).at(4)) <= kTolerance);
  CHECK(distance(rows[1].at(3), head.subject->uncached_logits({5, 9, 2, 4}, 3).at(3)) <= kTolerance);
  const auto next = cache->forward(TokenBatch::column({1, 2}), LogitsAt::last);
  CHECK(next[0].first_position == 5);
  CHECK(next[1].first_position == 4);
  CHECK(distance(next[1].at(4), head.subject->uncached_logits({5, 9, 2, 4, 2}, 4).at(4)) <= kTolerance);
  CHECK(prefill->length(0) == 3);

  cache->truncate(0, 3);
  CHECK(cache->length(0) == 3);
  cache->reset();
  CHECK(cache->length(1) == 0);
}

TEST_CASE("both paths generate nanochat's own greedy tokens") {
  const HeadInFloat32 head;
  std::ifstream file(source_path("harness/verify/vectors/generations/head/golden.json"));
  const auto golden = nlohmann::json::parse(file);
  GenerationRequest request;
  request.prompt = golden["prompt_tokens"][0].get<std::vector<TokenId>>();
  request.max_tokens = 12;
  request.sampler.temperature = 0;
  request.stop = request.tools = false;
  const auto naive = head.subject->generate(Path::naive, request, nullptr);
  const auto engine = head.subject->generate(Path::engine, request, nullptr);
  std::vector<TokenId> expected = request.prompt;
  const auto generated = golden["naive_greedy"][0].get<std::vector<TokenId>>();
  expected.insert(expected.end(), generated.begin(), generated.begin() + 12);
  CHECK(naive.rows[0].tokens == expected);
  CHECK(engine.rows[0].tokens == expected);
  CHECK(naive.kv_cache_bytes == 0);
  CHECK(engine.kv_cache_bytes > 0);
}
