// The loop driven from outside is the loop inside: the same tokens, masks, ends, counts and moments.
#include "harness/subject/driven_generation.h"

#include <functional>

#include "engine/model/model.h"
#include "harness/error.h"
#include "tests/support/catch.h"

using namespace kvproof;
using kvproof::testing::source_path;

namespace {

struct Head {
  Checkpoint checkpoint = load_checkpoint({source_path("harness/verify/vectors/generations/head"), {}, {}, {}});
  Tokenizer tokenizer = Tokenizer::load(checkpoint.location.tokenizer_dir);
  std::unique_ptr<Model> model = make_model(checkpoint, {"auto", "float64", "cpu"});
  std::unique_ptr<Subject> subject = make_in_process_subject(*model, &tokenizer);
};

/// A cache that has not the abilities its subject lacks.
class LimitedCache : public SubjectCache {
 public:
  LimitedCache(std::unique_ptr<SubjectCache> inner, Abilities can) : inner_(std::move(inner)), can_(can) {}
  int64_t batch() const override { return inner_->batch(); }
  int64_t length(int64_t row) const override { return inner_->length(row); }
  int64_t capacity() const override { return inner_->capacity(); }
  int64_t bytes() const override { return inner_->bytes(); }
  std::vector<LogitRows> forward(const TokenBatch& tokens, LogitsAt at, StageSink* sink) override {
    return inner_->forward(tokens, at, sink);
  }
  std::unique_ptr<SubjectCache> clone_rows(std::span<const int64_t> rows, int64_t capacity) const override {
    if (!can_.has(Ability::clone)) throw SubjectError("limited", "clone");
    if (rows.size() > 1 && !can_.has(Ability::batch)) throw SubjectError("limited", "batch");
    return std::make_unique<LimitedCache>(inner_->clone_rows(rows, capacity), can_);
  }
  void truncate(int64_t, int64_t) override { throw SubjectError("limited", "truncate"); }
  void reset() override { throw SubjectError("limited", "reset"); }
  bool reserve(int64_t capacity) override { return can_.has(Ability::reserve) && inner_->reserve(capacity); }
  bool retain_rows(std::span<const int64_t> rows) override {
    return can_.has(Ability::retain) && inner_->retain_rows(rows);
  }

 private:
  std::unique_ptr<SubjectCache> inner_;
  Abilities can_;
};

class LimitedSubject : public Subject {
 public:
  LimitedSubject(Subject& inner, Abilities can) : inner_(inner), can_(can) {}
  SubjectInfo info() const override {
    SubjectInfo info = inner_.info();
    info.can = can_;
    return info;
  }
  LogitRows uncached_logits(const std::vector<TokenId>& tokens, int64_t first, StageSink* sink) override {
    return inner_.uncached_logits(tokens, first, sink);
  }
  std::unique_ptr<SubjectCache> new_cache(int64_t batch, int64_t capacity) override {
    if (batch > 1 && !can_.has(Ability::batch)) throw SubjectError("limited", "batch");
    return std::make_unique<LimitedCache>(inner_.new_cache(batch, capacity), can_);
  }
  GenerationResult generate(Path, const GenerationRequest&, GenerationObserver*) override {
    throw SubjectError("limited", "generate");
  }

 private:
  Subject& inner_;
  Abilities can_;
};

/// Caches with more room than was asked for.
class RoomySubject : public Subject {
 public:
  explicit RoomySubject(Subject& inner) : inner_(inner) {}
  SubjectInfo info() const override { return inner_.info(); }
  LogitRows uncached_logits(const std::vector<TokenId>& tokens, int64_t first, StageSink* sink) override {
    return inner_.uncached_logits(tokens, first, sink);
  }
  std::unique_ptr<SubjectCache> new_cache(int64_t batch, int64_t capacity) override {
    ++caches;
    return inner_.new_cache(batch, capacity + 100);
  }
  GenerationResult generate(Path, const GenerationRequest&, GenerationObserver*) override {
    throw SubjectError("roomy", "generate");
  }

  int caches = 0;  // made so far

 private:
  Subject& inner_;
};

struct Moments : GenerationObserver {
  std::vector<int64_t> forwards;
  std::vector<GenerationStep> steps;
  int64_t abandon_after = -1;
  void on_forward(int64_t positions) override { forwards.push_back(positions); }
  bool on_step(const GenerationStep& step) override {
    steps.push_back(step);
    return step.step != abandon_after;
  }
};

bool same(const GenerationStep& a, const GenerationStep& b) {
  return a.step == b.step && a.rows == b.rows && a.tokens == b.tokens && a.masks == b.masks;
}

enum class Counts { compared, differ };  // a subject without clone or retain pushes more positions

void check_rows(const GenerationResult& found, const GenerationResult& expected) {
  REQUIRE(found.rows.size() == expected.rows.size());
  for (std::size_t row = 0; row < found.rows.size(); ++row) {
    CAPTURE(row);
    CHECK(found.rows[row].tokens == expected.rows[row].tokens);
    CHECK(found.rows[row].mask == expected.rows[row].mask);
    CHECK(found.rows[row].finish == expected.rows[row].finish);
  }
  CHECK(found.steps == expected.steps);
}

/// Both paths of a request: driven, and by our own generators.
void check(const Head& head, Subject& subject, const GenerationRequest& request, Counts counts = Counts::compared,
           int64_t abandon_after = -1) {
  const SpecialTokens* specials = &head.tokenizer.special();
  for (const Path path : {Path::naive, Path::engine}) {
    CAPTURE(static_cast<int>(path));
    Moments ours, driven;
    ours.abandon_after = driven.abandon_after = abandon_after;
    const GenerationResult expected = head.subject->generate(path, request, &ours);
    const GenerationResult found = drive_generation(subject, path, request, specials, &driven);
    check_rows(found, expected);
    REQUIRE(driven.steps.size() == ours.steps.size());
    for (std::size_t i = 0; i < ours.steps.size(); ++i) CHECK(same(driven.steps[i], ours.steps[i]));
    CHECK(driven.forwards.size() == ours.forwards.size());
    if (counts == Counts::differ && path == Path::engine) continue;
    CHECK(driven.forwards == ours.forwards);
    CHECK(found.token_forwards == expected.token_forwards);
    CHECK(found.kv_cache_bytes == expected.kv_cache_bytes);
  }
}

GenerationRequest request(int64_t rows, std::optional<int64_t> max_tokens, double temperature = 1) {
  GenerationRequest request{.prompt = {5, 9, 2}, .max_tokens = max_tokens, .num_samples = rows};
  request.sampler.temperature = temperature;
  request.tools = false;
  return request;
}

/// Rows that are made to stop at steps of their own: one at once, one never.
GenerationRequest stopping(const Head& head) {
  GenerationRequest all = request(4, 7);
  const TokenId end = head.tokenizer.special().assistant_end;
  all.forced = {{{2, end}}, {{0, end}}, {{3, 17}}, {{4, head.tokenizer.special().bos}}};
  return all;
}

Abilities without(std::initializer_list<Ability> left_out) {
  Abilities some;
  const Abilities gone(left_out);
  for (const Ability ability : Abilities::all().list())
    if (!gone.has(ability)) some.add(ability);
  return some;
}

}  // namespace

TEST_CASE("greedy and sampled generations of one row and of several are those of our own generators", "[driven]") {
  const Head head;
  for (const int64_t rows : {1, 4}) {
    for (const double temperature : {0.0, 1.0}) {
      CAPTURE(rows, temperature);
      GenerationRequest all = request(rows, 6, temperature);
      check(head, *head.subject, all);
      all.sampler.top_k = 3;
      all.stop = false;
      check(head, *head.subject, all);
    }
  }
}

TEST_CASE("a kept prefix is filled once, and what follows it is computed alone", "[driven]") {
  const Head head;
  for (const int64_t rows : {1, 4}) {
    CAPTURE(rows);
    GenerationRequest all = request(rows, 6);
    const GenerationResult expected = head.subject->generate(Path::engine, all, nullptr);
    all.kept_prefix = 2;
    KeptCache kept;
    const SubjectCache* first = nullptr;
    for (int call = 0; call < 3; ++call) {
      Moments moments;
      const GenerationResult found = drive_generation(*head.subject, Path::engine, all, &head.tokenizer.special(), &moments, &kept);
      check_rows(found, expected);
      CHECK(moments.forwards.front() == 1);
      CHECK(found.token_forwards == expected.token_forwards - 2);
      if (call == 0) first = kept.cache.get();
      CHECK(kept.cache.get() == first);
    }
  }
}

TEST_CASE("a kept prefix stays where a cache has more room than was asked for, until a request keeps none", "[driven]") {
  const Head head;
  RoomySubject roomy(*head.subject);
  GenerationRequest all = request(1, 6);
  all.kept_prefix = 2;
  KeptCache kept;
  for (int call = 0; call < 3; ++call)
    drive_generation(roomy, Path::engine, all, &head.tokenizer.special(), nullptr, &kept);
  CHECK(roomy.caches == 1);
  all.kept_prefix = 0;
  drive_generation(roomy, Path::engine, all, &head.tokenizer.special(), nullptr, &kept);
  CHECK(kept.cache == nullptr);
}

TEST_CASE("a prefix cannot be kept where caches cannot be cut back, or rows not be cloned", "[driven]") {
  const Head head;
  GenerationRequest all = request(4, 6);
  all.kept_prefix = 2;
  KeptCache kept;
  const auto drive = [&](Abilities can, KeptCache* where) {
    LimitedSubject limited(*head.subject, can);
    drive_generation(limited, Path::engine, all, &head.tokenizer.special(), nullptr, where);
  };
  CHECK_THROWS_AS(drive(Abilities::all(), nullptr), ArgumentError);
  CHECK_THROWS_AS(drive(without({Ability::truncate}), &kept), ArgumentError);
  CHECK_THROWS_AS(drive(without({Ability::clone}), &kept), ArgumentError);
}

TEST_CASE("nanochat's own draws are the same too, of either path", "[driven]") {
  const Head head;
  GenerationRequest all = request(3, 8);
  all.sampler.mode = SamplerMode::nanochat;
  for (const int64_t top_k : {0, 5}) {
    all.sampler.top_k = top_k;
    check(head, *head.subject, all);
  }
}

TEST_CASE("rows that stop leave, forced tokens are taken, and few tokens need few forwards", "[driven]") {
  const Head head;
  check(head, *head.subject, stopping(head));
  for (const int64_t max_tokens : {0, 1, 2}) check(head, *head.subject, request(3, max_tokens));
  check(head, *head.subject, request(3, 9), Counts::compared, /*abandon_after=*/4);
}

TEST_CASE("an open end grows the cache as our own engine does", "[driven]") {
  const Head head;
  GenerationRequest all = request(2, std::nullopt);
  const TokenId end = head.tokenizer.special().assistant_end;
  all.sampler.temperature = 0;
  all.forced = {{{262, end}}, {{3, end}}};  // past the 256 that are reserved at first
  for (int64_t step = 0; step < 262; ++step) all.forced[0].emplace(step, static_cast<TokenId>(step));
  Moments none;
  const auto expected = head.subject->generate(Path::engine, all, &none);
  const auto found = drive_generation(*head.subject, Path::engine, all, &head.tokenizer.special(), nullptr);
  check_rows(found, expected);
  CHECK(found.kv_cache_bytes == expected.kv_cache_bytes);
  CHECK(found.rows[0].tokens.size() == 3 + 262);

  LimitedSubject fixed(*head.subject, without({Ability::reserve}));
  check_rows(drive_generation(fixed, Path::engine, all, &head.tokenizer.special(), nullptr), expected);
}

TEST_CASE("the end of the positions ends a generation, or refuses it, with the same words", "[driven]") {
  const Head head;
  const int64_t positions = head.subject->info().rotary_len;
  GenerationRequest all = request(1, std::nullopt, 0);
  all.stop = false;
  all.prompt.assign(static_cast<std::size_t>(positions), 7);
  const auto expected = head.subject->generate(Path::engine, all, nullptr);
  const auto found = drive_generation(*head.subject, Path::engine, all, nullptr, nullptr);
  check_rows(found, expected);
  CHECK(found.rows[0].finish == Finish::limit);
  CHECK(found.steps == 1);

  const auto told = [&](const GenerationRequest& bad) {
    std::string words[2];
    for (const bool driven : {false, true}) {
      try {
        if (driven)
          drive_generation(*head.subject, Path::engine, bad, &head.tokenizer.special(), nullptr);
        else
          head.subject->generate(Path::engine, bad, nullptr);
      } catch (const Error& error) {
        words[driven] = error.kind() + " " + error.what();
      }
    }
    CHECK_FALSE(words[0].empty());
    CHECK(words[0] == words[1]);
  };
  all.max_tokens = 2;
  told(all);
  all.prompt.push_back(7);
  told(all);
  for (const auto& change : std::vector<std::function<void(GenerationRequest&)>>{
           [](auto& r) { r.prompt.clear(); }, [](auto& r) { r.prompt = {-1}; }, [](auto& r) { r.prompt = {99999}; },
           [](auto& r) { r.num_samples = 0; }, [](auto& r) { r.max_tokens = -1; },
           [](auto& r) {
             r.forced = {{{0, 1}}};
           },
           [](auto& r) {
             r.forced = {{{0, 99999}}, {}};
           },
           [](auto& r) { r.sampler.temperature = -1; }}) {
    GenerationRequest bad = request(2, 3);
    change(bad);
    told(bad);
  }
  GenerationRequest stop = request(1, 3);
  CHECK_THROWS_WITH(drive_generation(*head.subject, Path::naive, stop, nullptr, nullptr),
                    "stop: needs the tokenizer's terminal tokens, and there is no tokenizer; turn stop off");
}

TEST_CASE("a subject without clone, retain, batch or several caches generates the same tokens", "[driven]") {
  const Head head;
  for (const auto& left_out :
       std::vector<Abilities>{{Ability::clone},
                              {Ability::retain},
                              {Ability::batch},
                              {Ability::clone, Ability::retain},
                              {Ability::batch, Ability::clone, Ability::retain, Ability::reserve}}) {
    Abilities can;
    for (const Ability ability : left_out.missing(Abilities::all())) can.add(ability);
    LimitedSubject limited(*head.subject, can);
    check(head, limited, stopping(head), Counts::differ);
    check(head, limited, request(3, 4), Counts::differ);
    check(head, limited, request(1, 3));
  }
  LimitedSubject single(*head.subject, without({Ability::batch, Ability::caches}));
  CHECK_THROWS_WITH(drive_generation(single, Path::engine, request(2, 3), &head.tokenizer.special(), nullptr),
                    "num_samples: must be 1, got 2: kvproof native holds one row at a time");
  check(head, single, request(1, 6));
}

TEST_CASE("what is pushed through the model is counted, also what a subject makes necessary", "[driven]") {
  const Head head;
  GenerationRequest all = request(3, 4);
  const TokenId end = head.tokenizer.special().assistant_end;
  all.forced = {{{1, end}}, {{3, 5}}, {{3, 5}}};
  all.sampler.temperature = 0;
  const auto pushed = [&](Abilities can) {
    LimitedSubject limited(*head.subject, can);
    return drive_generation(limited, Path::engine, all, &head.tokenizer.special(), nullptr).token_forwards;
  };
  // A prompt of 3; then steps of 3, 2 and 2 rows.
  CHECK(pushed(Abilities::all()) == 3 + 3 + 2 + 2);
  CHECK(pushed(without({Ability::clone})) == 9 + 3 + 2 + 2);
  CHECK(pushed(without({Ability::retain})) == 3 + 3 + 3 + 3);
  CHECK(pushed(without({Ability::batch})) == 3 + 3 + 2 + 2);
  CHECK(pushed(without({Ability::batch, Ability::clone})) == 9 + 3 + 2 + 2);
}
