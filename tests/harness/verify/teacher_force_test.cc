#include "harness/verify/teacher_force.h"

#include <algorithm>
#include <functional>

#include "engine/model/model.h"
#include "tests/support/catch.h"

using namespace kvproof;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kTiny = "d2,vocab_size=97,n_embd=64,n_head=4,n_kv_head=2,sequence_len=64,seed=3";

struct Bench {
  Checkpoint checkpoint = synthesize_checkpoint(kTiny);
  std::unique_ptr<Model> model, model64;
  std::unique_ptr<Subject> subject, reference;

  explicit Bench(const std::string& dtype = "float32") {
    set_threads(1);  // threads of a busy machine wait for each other; the model is too small to need them
    model = make_model(checkpoint, {"auto", dtype, "cpu"});
    model64 = make_model(checkpoint, {"auto", "float64", "cpu"});
    subject = make_in_process_subject(*model, nullptr);
    reference = make_in_process_subject(*model64, nullptr);
  }
};

std::vector<TokenId> prompt_of(int64_t length) {
  std::vector<TokenId> prompt;
  for (int64_t i = 0; i < length; ++i) prompt.push_back(static_cast<TokenId>((5 + 7 * i) % 97));
  return prompt;
}

std::vector<TokenStream> streams_of(const GenerationResult& result, int64_t prompt) {
  std::vector<TokenStream> streams;
  for (const GeneratedRow& row : result.rows) {
    streams.push_back({{row.tokens.begin() + prompt, row.tokens.end()}, {row.mask.begin() + prompt, row.mask.end()}});
  }
  return streams;
}

/// Both paths' free-running tokens, ready to be judged.
AgreementRequest run_both(Bench& bench, int64_t prompt, int64_t tokens, int64_t rows, double temperature) {
  GenerationRequest request;
  request.prompt = prompt_of(prompt);
  request.max_tokens = tokens;
  request.num_samples = rows;
  request.sampler.temperature = temperature;
  request.stop = request.tools = false;
  return {request.prompt, request.sampler, streams_of(bench.subject->generate(Path::naive, request, nullptr), prompt),
          streams_of(bench.subject->generate(Path::engine, request, nullptr), prompt)};
}

/// Where the engine's prefill computes its last position alone, `rounded` has its say on the logits.
class RoundedCache : public SubjectCache {
 public:
  using Rounded = std::function<void(LogitRows&)>;
  RoundedCache(std::unique_ptr<SubjectCache> inner, Rounded rounded)
      : inner_(std::move(inner)), rounded_(std::move(rounded)) {}
  int64_t batch() const override { return inner_->batch(); }
  int64_t length(int64_t row) const override { return inner_->length(row); }
  int64_t capacity() const override { return inner_->capacity(); }
  int64_t bytes() const override { return inner_->bytes(); }
  std::vector<LogitRows> forward(const TokenBatch& tokens, LogitsAt at, StageSink* sink) override {
    auto rows = inner_->forward(tokens, at, sink);
    if (tokens.length > 1 && at == LogitsAt::last) rounded_(rows.front());
    return rows;
  }
  std::unique_ptr<SubjectCache> clone_rows(std::span<const int64_t> rows, int64_t capacity) const override {
    return inner_->clone_rows(rows, capacity);
  }
  void truncate(int64_t row, int64_t length) override { inner_->truncate(row, length); }
  void reset() override { inner_->reset(); }

 private:
  std::unique_ptr<SubjectCache> inner_;
  Rounded rounded_;
};

/// A subject whose free-running shapes round as `naive` and `engine` say; every other shape is another subject's.
class RoundedSubject : public Subject {
 public:
  using Rows = std::vector<std::vector<TokenId>>;
  std::function<void(const Rows&, std::vector<LogitRows>&)> naive;
  RoundedCache::Rounded engine;

  explicit RoundedSubject(Subject& inner) : inner_(inner) {}
  SubjectInfo info() const override { return inner_.info(); }
  LogitRows uncached_logits(const std::vector<TokenId>& tokens, int64_t first, StageSink* sink) override {
    return inner_.uncached_logits(tokens, first, sink);
  }
  std::vector<LogitRows> naive_step(const Rows& rows) override {
    auto logits = inner_.naive_step(rows);
    if (naive) naive(rows, logits);
    return logits;
  }
  std::unique_ptr<SubjectCache> new_cache(int64_t batch, int64_t capacity) override {
    if (!engine) return inner_.new_cache(batch, capacity);
    return std::make_unique<RoundedCache>(inner_.new_cache(batch, capacity), engine);
  }
  GenerationResult generate(Path path, const GenerationRequest& request, GenerationObserver* observer) override {
    return inner_.generate(path, request, observer);
  }

 private:
  Subject& inner_;
};

/// The token that loses by least at a step, and what its logit must gain to win.
struct RunnerUp {
  TokenId token;
  double gain;
};

RunnerUp runner_up(Bench& bench, const AgreementRequest& request, int64_t row, int64_t step) {
  std::vector<TokenId> tokens = request.prompt;
  const auto& generated = request.naive[row].tokens;
  tokens.insert(tokens.end(), generated.begin(), generated.begin() + step);
  const LogitRows logits = bench.reference->uncached_logits(tokens, static_cast<int64_t>(tokens.size()) - 1);
  const auto score = [&](TokenId token) {
    return per_row_score(request.sampler, logits.values[token], row, step, token);
  };
  RunnerUp best{-1, 1e9};
  for (TokenId token = 0; token < 97; ++token) {
    const double gain = (score(generated[step]) - score(token)) * request.sampler.temperature;
    if (token != generated[step] && gain < best.gain) best = {token, gain};
  }
  best.gain += 1e-4;
  return best;
}

}  // namespace

TEST_CASE(
    "the real engine agrees with the naive path in every dtype, greedy and sampled, with one row and with several") {
  const std::string dtype = GENERATE("float32", "float64", "bfloat16", "float16");
  const auto rows = GENERATE(int64_t{1}, int64_t{3});
  const double temperature = GENERATE(0.0, 0.8);
  const VerifyLevel level = GENERATE(VerifyLevel::quick, VerifyLevel::full);
  CAPTURE(dtype, rows, temperature, level == VerifyLevel::full);
  Bench bench(dtype);
  AgreementRequest request = run_both(bench, 5, 12, rows, temperature);
  request.level = level;
  const Agreement a = check_agreement(request, *bench.subject, *bench.reference);
  CAPTURE(a.explanation, a.logits->max_abs, a.logits->error_ratio);
  CHECK((a.verdict == Verdict::agree || (a.verdict == Verdict::tie && dtype != "float64")));
  CHECK(a.logits->positions == rows * 12 + (level == VerifyLevel::full ? 4 : 0));
  CHECK(a.logits->error_ratio <= 2);  // worst seen 0.65
}

TEST_CASE(
    "a position shifted in decode only is a disagreement, in float32 by R and in bfloat16 by the code in float64") {
  const std::string dtype = GENERATE("float32", "bfloat16", "float64");
  Bench bench(dtype);
  const auto fault = [](StepPlan plan) {
    if (plan.cached && plan.length == 1) {
      for (RowPlan& row : plan.rows) ++row.position;
    }
    return plan;
  };
  bench.model->set_plan_filter(fault);
  bench.model64->set_plan_filter(fault);
  const AgreementRequest request = run_both(bench, 5, 12, 1, 0);
  const Agreement a = check_agreement(request, *bench.subject, *bench.reference);
  CAPTURE(dtype, a.explanation);
  CHECK(a.verdict == Verdict::disagree);
  if (dtype == "float32")
    CHECK_THAT(a.explanation, Contains("what float32 rounding does to the naive path (8 is allowed)"));
  if (dtype == "bfloat16") CHECK_THAT(a.explanation, Contains("the same code in float64 differs by"));
  if (dtype == "float64") CHECK_THAT(a.explanation, Contains("the logits differ by"));
}

TEST_CASE("a fault in the last row of a batch alone is found, for the replay runs all rows as the engine does") {
  Bench bench;
  const AgreementRequest request = run_both(bench, 5, 8, 3, 0.8);
  bench.model->set_plan_filter([](StepPlan plan) {
    if (plan.cached && plan.batch == 3) ++plan.rows[2].position;
    return plan;
  });
  CHECK(check_agreement(request, *bench.subject, *bench.reference).verdict == Verdict::disagree);
}

TEST_CASE("a fault inside the prompt's cache that no chosen token shows is found by verify full") {
  Bench bench;
  AgreementRequest request = run_both(bench, 5, 1, 1, 0);
  bench.model->set_plan_filter([](StepPlan plan) {  // the first token of the prefill sees the future
    if (plan.cached && plan.length > 1) plan.layers.back().diagonal = 1;
    return plan;
  });
  request.level = VerifyLevel::full;
  CHECK(check_agreement(request, *bench.subject, *bench.reference).verdict == Verdict::disagree);
}

TEST_CASE("an unexplained token of the engine is a disagreement whatever the logits say") {
  Bench bench;
  AgreementRequest request = run_both(bench, 5, 12, 1, 0);
  TokenId& token = request.engine[0].tokens[7];
  token = (token + 1) % 97;
  const Agreement a = check_agreement(request, *bench.subject, *bench.reference);
  CHECK(a.verdict == Verdict::disagree);
  REQUIRE(a.first_divergence);
  CHECK(a.first_divergence->step == 7);
  CHECK(a.logits->error_ratio <= 2);
}

TEST_CASE("a token that the naive rows took together is explained by what they compute together") {
  Bench bench;
  AgreementRequest request = run_both(bench, 5, 12, 3, 0.8);
  for (auto* streams : {&request.naive, &request.engine}) {  // row 0 has ended before step 4
    (*streams)[0].tokens.resize(2);
    (*streams)[0].masks.resize(2);
  }
  const RunnerUp other = runner_up(bench, request, 1, 4);
  request.naive[1].tokens[4] = other.token;
  CHECK(check_agreement(request, *bench.subject, *bench.reference).verdict == Verdict::disagree);

  RoundedSubject together(*bench.subject);
  together.naive = [&](const RoundedSubject::Rows& rows, std::vector<LogitRows>& logits) {
    REQUIRE(rows.size() == 2);
    for (std::size_t i = 0; i < 2; ++i) {
      REQUIRE(rows[i].size() == 5 + 4);
      CHECK(std::equal(rows[i].begin() + 5, rows[i].end(), request.naive[1 + i].tokens.begin()));
    }
    logits[0].values[other.token] += other.gain;
  };
  const Agreement a = check_agreement(request, together, *bench.reference);
  CAPTURE(a.explanation);
  CHECK(a.verdict == Verdict::tie);
  together.naive = [&](const auto&, std::vector<LogitRows>& logits) { logits[1].values[other.token] += other.gain; };
  CHECK(check_agreement(request, together, *bench.reference).verdict == Verdict::disagree);  // not its row
}

TEST_CASE("a token that the engine took is explained by what it computes in its own shapes, full or quick") {
  Bench bench;
  AgreementRequest request = run_both(bench, 5, 12, 3, 0.8);
  request.level = VerifyLevel::full;  // which takes all of the prefill's logits, the engine only the last
  const RunnerUp other = runner_up(bench, request, 2, 0);
  request.engine[2].tokens[0] = other.token;
  CHECK(check_agreement(request, *bench.subject, *bench.reference).verdict == Verdict::disagree);
  RoundedSubject alone(*bench.subject);
  alone.engine = [&](LogitRows& logits) { logits.values[other.token] += other.gain; };
  const Agreement a = check_agreement(request, alone, *bench.reference);
  CAPTURE(a.explanation);
  CHECK(a.verdict == Verdict::tie);
}

TEST_CASE("rows of unequal length leave the replayed batch one by one") {
  Bench bench;
  AgreementRequest request = run_both(bench, 5, 9, 3, 0.8);
  request.level = VerifyLevel::full;
  for (const auto& [row, length] : {std::pair(0, 2), std::pair(1, 9), std::pair(2, 5)}) {
    for (auto* streams : {&request.naive, &request.engine}) {
      (*streams)[row].tokens.resize(length);
      (*streams)[row].masks.resize(length);
    }
  }
  std::vector<int64_t> batches;
  bench.model->set_plan_filter([&](StepPlan plan) {
    if (plan.cached) batches.push_back(plan.batch);
    return plan;
  });
  const Agreement a = check_agreement(request, *bench.subject, *bench.reference);
  CAPTURE(a.explanation);
  CHECK(a.verdict == Verdict::agree);
  CHECK(a.logits->positions == 2 + 9 + 5 + 4);
  CHECK(batches == std::vector<int64_t>{1, 3, 2, 2, 2, 1, 1, 1, 1});
}

TEST_CASE("rows that all end with their first token need no decode") {
  Bench bench;
  AgreementRequest request = run_both(bench, 5, 1, 3, 0.8);
  CHECK(check_agreement(request, *bench.subject, *bench.reference).logits->positions == 3);
}

TEST_CASE("a prompt of one token can be verified in full") {
  Bench bench;
  AgreementRequest request = run_both(bench, 1, 4, 1, 0);
  request.level = VerifyLevel::full;
  CHECK(check_agreement(request, *bench.subject, *bench.reference).logits->positions == 4);
}

TEST_CASE("quick judges four rows and every first divergence, full judges all rows") {
  Flip late;
  late.row = 5;
  late.step = 2;
  Flip past = late;  // the naive row has ended there: no logits exist
  past.row = 4;
  past.step = 3;
  const std::vector<int64_t> lengths = {3, 3, 0, 3, 3, 3};
  using Steps = std::vector<std::vector<int64_t>>;
  CHECK(choose_steps(lengths, {past, late}, 100, VerifyLevel::quick) ==
        Steps{{0, 1, 2}, {0, 1, 2}, {}, {0, 1, 2}, {}, {2}});
  CHECK(choose_steps(lengths, {}, 100, VerifyLevel::full) ==
        Steps{{0, 1, 2}, {0, 1, 2}, {}, {0, 1, 2}, {0, 1, 2}, {0, 1, 2}});
}

TEST_CASE("positions beyond the memory bound are thinned evenly, the last and the divergences kept") {
  Flip flip;
  flip.step = 4;
  const auto steps = choose_steps({192}, {flip}, kJudgedLogits, VerifyLevel::quick);  // room for 64 positions
  REQUIRE(steps.size() == 1);
  CHECK(steps[0].size() == 66);
  CHECK(steps[0][1] == 3);
  CHECK(steps[0][2] == 4);
  CHECK(steps[0].back() == 191);
}
