// The expectation and the scripted model themselves, by numbers that can be checked by hand.
#include "harness/verify/behaviour/expected_generation.h"

#include <c10/core/InferenceMode.h>

#include "harness/verify/behaviour/python_results.h"
#include "harness/verify/behaviour/scripted_model.h"
#include "tests/support/catch.h"

using namespace kvproof;

namespace {

using Ids = std::vector<TokenId>;

/// Greedy logits: after a history of n tokens, token n % 10 is the best.
std::vector<double> counting(const Ids& history) {
  std::vector<double> logits(10);
  logits[history.size() % 10] = 1;
  return logits;
}

GenerationRequest greedy(Ids prompt, int64_t tokens) {
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = tokens;
  request.sampler.temperature = 0;
  request.stop = request.tools = false;
  return request;
}

constexpr SpecialTokens kSpecial = {0, 91, 92, 93, 7, 4, 6, 94, 95};  // assistant_end 7, python_start 4, python_end 6

}  // namespace

TEST_CASE("the noise is what the records of earlier versions were drawn with", "[behaviour]") {
  // Computed by a Python implementation of the same hash; 1e-12 leaves room for other log()s.
  CHECK(expected_noise(42, 0, 0, 0) == Approx(-0.9146219300240891).epsilon(1e-12));
  CHECK(expected_noise(42, 0, 0, 1) == Approx(1.0747319153666537).epsilon(1e-12));
  CHECK(expected_noise(42, 1, 0, 0) == Approx(1.0477180074484698).epsilon(1e-12));
  CHECK(expected_noise(42, 0, 1, 0) == Approx(2.0630998001764107).epsilon(1e-12));
  CHECK(expected_noise(0, 0, 0, 0) == Approx(-0.5027003431944185).epsilon(1e-12));
  CHECK(expected_noise(UINT64_MAX, 7, 1000, 32767) == Approx(-0.6935629103929646).epsilon(1e-12));
}

TEST_CASE("a choice takes the lowest id on ties and says by how much it won", "[behaviour]") {
  const std::vector<double> logits = {1, 3, 2, 3, 0};
  SamplerSettings settings{.temperature = 0};
  CHECK(expected_choice(settings, logits, 0, 0).token == 1);
  CHECK(expected_choice(settings, logits, 0, 0).margin == 0);
  settings = {.temperature = 1e-20, .top_k = 1};
  CHECK(expected_choice(settings, logits, 0, 0).token == 1);
  CHECK(std::isinf(expected_choice(settings, logits, 0, 0).margin));
  settings.temperature = 2;
  settings.top_k = 3;  // 1, 3, 2
  const TokenId chosen = expected_choice(settings, logits, 4, 5).token;
  double best = -HUGE_VAL;
  TokenId by_hand = -1;
  for (const TokenId token : {1, 2, 3}) {
    const double score = logits[token] / 2 + expected_noise(settings.seed, 4, 5, token);
    if (score > best) by_hand = token, best = score;
  }
  CHECK(chosen == by_hand);
}

TEST_CASE("the distance of a flip is the score's, or the one to top_k's border", "[behaviour]") {
  const std::vector<double> logits = {5, 4, 3, 2.9, -10};
  CHECK(flip_distance({.temperature = 0}, logits, 0, 0, 0, 1) == 1);
  CHECK(std::isinf(flip_distance({.temperature = 0}, logits, 0, 0, 0, 77)));  // no token at all
  const SamplerSettings settings{.temperature = 10, .top_k = 3};
  // 2 is the last one in, 3 the first one out: 0.1 apart, 0.01 in units of the score.
  CHECK(flip_distance(settings, logits, 0, 0, 2, 3) == Approx(0.01));
  CHECK(flip_distance(settings, logits, 0, 0, 2, 4) >= 1.29);
}

TEST_CASE("an expectation counts steps, forwards and positions on both paths", "[behaviour]") {
  ExpectationRules rules;
  rules.rotary_len = 100;
  GenerationRequest request = greedy({9, 9, 9}, 4);
  request.num_samples = 2;
  const Expected engine = expect_generation(request, Path::engine, counting, rules);
  CHECK(engine.rows[1].row.tokens == Ids{9, 9, 9, 3, 4, 5, 6});
  CHECK(engine.rows[1].row.mask == std::vector<int>{0, 0, 0, 1, 1, 1, 1});
  CHECK(engine.rows[0].row.finish == Finish::length);
  CHECK(engine.steps == 4);
  CHECK(engine.forwards == std::vector<int64_t>{3, 2, 2, 2});
  CHECK(expect_generation(request, Path::naive, counting, rules).forwards == std::vector<int64_t>{6, 8, 10, 12});
  request.max_tokens = 0;
  CHECK(expect_generation(request, Path::engine, counting, rules).token_forwards == 0);
  request.max_tokens.reset();
  rules.rotary_len = 5;  // three tokens, the last of them without a position
  const Expected open = expect_generation(request, Path::engine, counting, rules);
  CHECK(open.rows[0].row.tokens == Ids{9, 9, 9, 3, 4, 5});
  CHECK(open.rows[0].row.finish == Finish::limit);
}

TEST_CASE("an expectation ends rows, forces tokens and breaks off where it is told to", "[behaviour]") {
  ExpectationRules rules;
  rules.rotary_len = 100;
  rules.special = &kSpecial;
  GenerationRequest request = greedy({9, 9, 9}, 9);
  request.stop = true;
  request.num_samples = 2;
  request.forced = {{}, {{4, 8}}};  // row 1 says 8 where 7 would end it
  const Expected expected = expect_generation(request, Path::engine, counting, rules);
  CHECK(expected.rows[0].row.tokens == Ids{9, 9, 9, 3, 4, 5, 6});
  CHECK(expected.rows[0].row.finish == Finish::stop);
  CHECK(expected.rows[0].stream.back().token == 7);
  CHECK(expected.rows[1].row.tokens == Ids{9, 9, 9, 3, 4, 5, 6, 8, 8, 9});  // then 0, which is bos
  CHECK(expected.rows[1].row.mask == std::vector<int>{0, 0, 0, 1, 1, 1, 1, 0, 1, 1});
  CHECK(expected.rows[1].stream[4].sampled == 7);
  CHECK(expected.forwards == std::vector<int64_t>{3, 2, 2, 2, 2, 1, 1, 1});
  rules.abandon_at = 1;
  const Expected cut = expect_generation(request, Path::engine, counting, rules);
  CHECK(cut.steps == 2);
  CHECK(cut.rows[0].row.finish == Finish::abandoned);
}

TEST_CASE("an expectation calls the calculator on the engine's path only", "[behaviour]") {
  ExpectationRules rules;
  rules.rotary_len = 100;
  rules.special = &kSpecial;
  rules.tools.decode = [](const Ids& ids) { return std::to_string(ids.at(0)); };
  rules.tools.encode = [](const std::string& text) { return Ids{static_cast<TokenId>(std::stoi(text))}; };
  rules.tools.calculate = [](const std::string& text) {
    return text == "5" ? std::optional<std::string>("55") : std::nullopt;
  };
  GenerationRequest request = greedy({9, 9, 9}, 8);
  request.tools = true;
  const Expected engine = expect_generation(request, Path::engine, counting, rules);
  CHECK(engine.rows[0].row.tokens == Ids{9, 9, 9, 3, 4, 5, 6, 94, 55, 95, 0});
  CHECK(engine.rows[0].row.mask == std::vector<int>{0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1});
  const Expected naive = expect_generation(request, Path::naive, counting, rules);
  CHECK(naive.rows[0].row.tokens == Ids{9, 9, 9, 3, 4, 5, 6, 7, 8, 9, 0});
}

TEST_CASE("a scripted model says the same with and without a cache, to the last bit", "[behaviour]") {
  const c10::InferenceMode guard;
  ScriptedModel model;
  const Ids tokens = {5, 17, 299, 0, 5, 5, 31};
  const auto at = [&](int64_t n) { return model.logits_after(std::span(tokens).first(n)); };
  const auto same = [](const at::Tensor& logits, const std::vector<double>& wanted) {
    const double* data = logits.const_data_ptr<double>();
    return std::equal(wanted.begin(), wanted.end(), data);
  };
  const at::Tensor all = model.forward(TokenBatch::single(tokens), LogitsAt::all);  // (1, T, V)
  for (int64_t t = 0; t < 7; ++t) CHECK(same(all.select(1, t).contiguous(), at(t + 1)));
  KVCache cache = model.new_cache(1, 4);
  CHECK(same(model.forward(TokenBatch::single({5, 17, 299}), cache, LogitsAt::last), at(3)));
  KVCache rows = cache.clone_rows(std::vector<int64_t>{0, 0, 0}, 5);
  rows.reserve(8);
  model.forward(TokenBatch::column({1, 2, 0}), rows, LogitsAt::last);
  rows.retain_rows(std::vector<int64_t>{2});
  CHECK(same(model.forward(TokenBatch::single({5, 5}), rows, LogitsAt::last), at(6)));
}

TEST_CASE("a scripted model shows a wrong token, a wrong row and a wrong slot", "[behaviour]") {
  const c10::InferenceMode guard;
  ScriptedModel model;
  const Ids right = {5, 17, 30, 8};
  const auto wanted = model.logits_after(right);
  CHECK(model.logits_after(Ids{5, 17, 31, 8}) != wanted);
  CHECK(model.logits_after(Ids{17, 5, 30, 8}) != wanted);
  const auto after = [&](auto harm) {
    KVCache cache = model.new_cache(2, 4);
    model.forward(TokenBatch{2, 3, {5, 17, 30, 6, 18, 31}, {}}, cache, LogitsAt::last);
    harm(cache);
    const at::Tensor logits = model.forward(TokenBatch::column({8, 8}), cache, LogitsAt::last);  // (2, V)
    const double* data = logits.const_data_ptr<double>();
    return std::vector<double>(data, data + ScriptedModel::kVocabulary);
  };
  CHECK(after([](KVCache&) {}) == wanted);
  CHECK(after([](KVCache& cache) { cache.keys(1)[0][0][2].copy_(cache.keys(1)[1][0][2]); }) != wanted);
  CHECK(after([](KVCache& cache) { cache.values(0)[0][0][1].copy_(cache.values(0)[0][0][0]); }) != wanted);
}

TEST_CASE("a script sets logits by history, and the hash gives the rest", "[behaviour]") {
  ScriptedModel model;
  const auto hashed = model.logits_after(Ids{1, 2});
  model.set_script([](std::span<const int32_t> history) {
    return history.size() == 2 ? std::vector<ScriptedModel::Said>{7, {8, -9.5}} : std::vector<ScriptedModel::Said>{};
  });
  auto said = model.logits_after(Ids{1, 2});
  CHECK(said[7] == ScriptedModel::kFavoured);
  CHECK(said[8] == -9.5);
  said[7] = hashed[7], said[8] = hashed[8];
  CHECK(said == hashed);
  for (const double logit : hashed) CHECK(std::abs(logit) <= 3);
}

TEST_CASE("Python's results are found by expression", "[behaviour]") {
  CHECK(python_results().size() > 300);
  REQUIRE(find_python_result("12*7"));
  CHECK(find_python_result("12*7")->text() == "84");
  CHECK_FALSE(find_python_result("2**3")->text());
  CHECK_FALSE(find_python_result("nothing of the kind"));
}
