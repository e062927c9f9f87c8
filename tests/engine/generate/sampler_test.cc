#include "engine/generate/sampler.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "engine/error.h"
#include "tests/support/catch.h"

namespace kvproof {
namespace {

using Tokens = std::vector<TokenId>;

constexpr double kInf = std::numeric_limits<double>::infinity();

SamplerSettings settings_of(double temperature, std::optional<int64_t> top_k = {}, uint64_t seed = 42,
                            SamplerMode mode = SamplerMode::per_row) {
  return {.temperature = temperature, .top_k = top_k, .seed = seed, .mode = mode};
}

std::vector<int64_t> first_rows(int64_t n) {
  std::vector<int64_t> rows(n);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

// (rows, vocab): the formula of tests/data/sampler, exact in float32.
at::Tensor logits_of(int64_t step, int64_t rows, int64_t vocab, int64_t modulus = 20011, int64_t divisor = 1024) {
  const at::Tensor logits = at::empty({rows, vocab}, at::kFloat);
  float* x = logits.data_ptr<float>();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t t = 0; t < vocab; ++t)
      x[r * vocab + t] =
          static_cast<float>((t * 7919 + r * 104729 + step * 1299709) % modulus) / static_cast<float>(divisor);
  }
  return logits;
}

at::Tensor row_of(const std::vector<double>& values) { return at::tensor(values, at::kFloat).unsqueeze(0); }

Tokens draw(const SamplerSettings& settings, const at::Tensor& logits, int64_t step = 0) {
  Sampler sampler(settings, NanochatProcedure::engine);
  return sampler.sample(logits, first_rows(logits.size(0)), step, logits.size(0));
}

std::string message_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// Why nanochat mode need not draw as the saved draws do; empty where it must.
std::string why_draws_differ(const std::string& saved_version) {
#if !defined(__x86_64__)
  return "not an x86 processor";
#endif
  if (TORCH_VERSION != saved_version) return "LibTorch " TORCH_VERSION ", the draws are of " + saved_version;
  return "";
}

// ---- nanochat mode -------------------------------------------------------------------------------------------------

nlohmann::json saved_draws() {
  std::ifstream file(testing::source_path("tests/data/sampler/draws.json"));
  return nlohmann::json::parse(file);
}

// All steps of a saved run; from step 4 on the rows in `gone` are no longer there.
std::vector<Tokens> replay(const nlohmann::json& run, NanochatProcedure procedure, const std::set<int64_t>& gone) {
  auto settings = settings_of(run["temperature"], {}, run["seed"], SamplerMode::nanochat);
  if (!run["top_k"].is_null()) settings.top_k = run["top_k"].get<int64_t>();
  Sampler sampler(settings, procedure);
  const int64_t n = run["rows"];
  std::vector<Tokens> drawn;
  for (int64_t step = 0; step < 12; ++step) {
    auto rows = first_rows(n);
    if (step >= 4) std::erase_if(rows, [&](int64_t row) { return gone.contains(row); });
    const auto all = logits_of(step, n, run["vocab"], run["modulus"], run["divisor"]);
    drawn.push_back(sampler.sample(at::index_select(all, 0, at::tensor(rows, at::kLong)), rows, step, n));
  }
  return drawn;
}

TEST_CASE("nanochat mode draws what torch draws by nanochat's two procedures", "[engine][sampler][golden]") {
  const auto saved = saved_draws();
  if (const auto why = why_draws_differ(saved["torch"]); !why.empty()) {
    WARN("skipped: " << why);
    return;
  }
  REQUIRE(saved["runs"].size() == 17);
  for (const auto& run : saved["runs"]) {
    CAPTURE(run.dump());
    CHECK(replay(run, NanochatProcedure::engine, {}) == run["engine"].get<std::vector<Tokens>>());
    CHECK(replay(run, NanochatProcedure::naive, {}) == run["naive"].get<std::vector<Tokens>>());
  }
}

TEST_CASE("nanochat mode draws the same for the rows left when others are gone", "[engine][sampler]") {
  const std::set<int64_t> gone =
      GENERATE(std::set<int64_t>{0}, std::set<int64_t>{1, 2}, std::set<int64_t>{3}, std::set<int64_t>{0, 1, 2, 3});
  const auto procedure = GENERATE(NanochatProcedure::engine, NanochatProcedure::naive);
  const auto saved = saved_draws();
  int replayed = 0;
  for (const auto& run : saved["runs"]) {
    if (run["rows"] != 4) continue;
    ++replayed;
    CAPTURE(run.dump());
    auto expected = replay(run, procedure, {});
    for (std::size_t step = 4; step < expected.size(); ++step) {
      for (auto row = gone.rbegin(); row != gone.rend(); ++row) expected[step].erase(expected[step].begin() + *row);
    }
    CHECK(replay(run, procedure, gone) == expected);
  }
  CHECK(replayed == 3);
}

TEST_CASE("nanochat mode gives float64 logits the draws of float32", "[engine][sampler]") {
  const auto settings = settings_of(1.0, 50, 42, SamplerMode::nanochat);
  const auto logits = logits_of(0, 4, 331);
  CHECK(draw(settings, logits.to(at::kDouble)) == draw(settings, logits));
}

// ---- greedy --------------------------------------------------------------------------------------------------------

TEST_CASE("temperature 0 takes the highest logit, the lowest id on ties, in every dtype", "[engine][sampler]") {
  const auto mode = GENERATE(SamplerMode::per_row, SamplerMode::nanochat);
  const auto dtype = GENERATE(at::kFloat, at::kDouble, at::kBFloat16, at::kHalf);
  const auto top_k = GENERATE(std::optional<int64_t>(), std::optional<int64_t>(2));
  const auto logits = at::tensor({1.0, 3.0, 2.0, 3.0, -kInf, -2.0, -kInf, -1.0, -1.0, -1.0}, at::kDouble);
  CHECK(draw(settings_of(0, top_k, 42, mode), logits.view({2, 5}).to(dtype)) == Tokens{1, 2});
}

TEST_CASE("float64 logits are compared in float64", "[engine][sampler]") {
  const auto logits = at::tensor({1.0, 1.0 + 1e-12}, at::kDouble).unsqueeze(0);
  CHECK(draw(settings_of(0), logits) == Tokens{1});
  CHECK(draw(settings_of(1.0, 1), logits) == Tokens{1});
}

// ---- per_row: the noise --------------------------------------------------------------------------------------------

TEST_CASE("the noise is what the records of earlier versions were drawn with", "[engine][sampler]") {
  // Computed by a Python implementation of the same hash; 1e-12 leaves room for other log()s.
  CHECK(gumbel_noise(42, 0, 0, 0) == Approx(-0.9146219300240891).epsilon(1e-12));
  CHECK(gumbel_noise(42, 0, 0, 1) == Approx(1.0747319153666537).epsilon(1e-12));
  CHECK(gumbel_noise(42, 1, 0, 0) == Approx(1.0477180074484698).epsilon(1e-12));
  CHECK(gumbel_noise(42, 0, 1, 0) == Approx(2.0630998001764107).epsilon(1e-12));
  CHECK(gumbel_noise(0, 0, 0, 0) == Approx(-0.5027003431944185).epsilon(1e-12));
  CHECK(gumbel_noise(UINT64_MAX, 7, 1000, 32767) == Approx(-0.6935629103929646).epsilon(1e-12));
}

// The noise of 100000 neighbours in one of the four arguments, and of their neighbours.
std::vector<double> noise_along(int axis, int64_t shift) {
  std::vector<double> noise;
  for (int64_t i = shift; i < 100000 + shift; ++i) {
    noise.push_back(gumbel_noise(axis == 0 ? i : 42, axis == 1 ? i : 3, axis == 2 ? i : 5,
                                 static_cast<TokenId>(axis == 3 ? i : 7)));
  }
  return noise;
}

TEST_CASE("the noise is standard Gumbel and unrelated between neighbours", "[engine][sampler]") {
  const int axis = GENERATE(0, 1, 2, 3);  // seed, row, step, token
  const int64_t shift = GENERATE(1, 2, 64);
  CAPTURE(axis, shift);
  const auto noise = noise_along(axis, 0), other = noise_along(axis, shift);
  const auto n = static_cast<double>(noise.size());
  constexpr double kMean = 0.5772156649015329, kVariance = 1.6449340668482264;  // Euler's gamma, pi^2 / 6
  double mean = 0, variance = 0, covariance = 0;
  for (std::size_t i = 0; i < noise.size(); ++i) {
    mean += noise[i] / n;
    variance += (noise[i] - kMean) * (noise[i] - kMean) / n;
    covariance += (noise[i] - kMean) * (other[i] - kMean) / n;
  }
  // Four standard errors of 0.0041, 0.0109 (kurtosis 5.4) and 0.0032; worst seen 0.0065, 0.0158 and 0.0079.
  CHECK(std::abs(mean - kMean) < 0.0162);
  CHECK(std::abs(variance - kVariance) < 0.0437);
  CHECK(std::abs(covariance / kVariance) < 0.0127);
}

// ---- per_row: the draws --------------------------------------------------------------------------------------------

// Chi-square of the draws of 200 rows and 200 steps against softmax over the tokens in `allowed`.
double chi_square(const std::vector<double>& logits, const SamplerSettings& settings,
                  const std::vector<std::size_t>& allowed) {
  const auto row = row_of(logits).expand({200, -1});
  std::vector<double> seen(logits.size(), 0.0);
  for (int64_t step = 0; step < 200; ++step) {
    for (const TokenId token : draw(settings, row, step)) seen[token] += 1;
  }
  double total = 0, statistic = 0, drawn = 0;
  for (const auto t : allowed) total += std::exp(logits[t] / settings.temperature);
  for (const auto t : allowed) {
    const double expected = 40000 * std::exp(logits[t] / settings.temperature) / total;
    statistic += (seen[t] - expected) * (seen[t] - expected) / expected;
    drawn += seen[t];
  }
  CHECK(drawn == 40000);  // nothing outside
  return statistic;
}

TEST_CASE("per_row draws follow softmax, with temperature and top_k", "[engine][sampler]") {
  const std::vector<double> logits = {0.0, 1.5, -1.0, 2.0, 0.5, 1.5, -3.0, 1.0};
  const uint64_t seed = GENERATE(0, 42, 1000003);
  CAPTURE(seed);
  const std::vector<std::size_t> all = {0, 1, 2, 3, 4, 5, 6, 7};
  // The 99.9 % points of chi-square with 7, 7, 7, 3 and 1 degrees of freedom; worst seen 16.2, 4.3 and 4.7.
  CHECK(chi_square(logits, settings_of(1.0, {}, seed), all) < 24.3);
  CHECK(chi_square(logits, settings_of(0.6, 0, seed), all) < 24.3);
  CHECK(chi_square(logits, settings_of(1.7, 8, seed), all) < 24.3);
  CHECK(chi_square(logits, settings_of(1.0, 4, seed), {1, 3, 5, 7}) < 16.3);
  CHECK(chi_square(logits, settings_of(0.8, 2, seed), {1, 3}) < 10.8);  // 1 and 5 tie for the second place: 1 is in
}

// The definition, without any short cut: argmax of per_row_score over the top_k of a full sort.
TokenId best_by_score(const SamplerSettings& settings, const at::Tensor& logits, int64_t row, int64_t step) {
  const auto x = logits.to(at::kDouble).contiguous();
  const auto* values = x.const_data_ptr<double>();
  Tokens order(x.numel());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) { return values[a] > values[b]; });
  const int64_t k = settings.top_k.value_or(0);
  if (k > 0 && k < x.numel()) order.resize(k);
  std::sort(order.begin(), order.end());
  const auto score = [&](TokenId t) { return per_row_score(settings, values[t], row, step, t); };
  return *std::max_element(order.begin(), order.end(), [&](TokenId a, TokenId b) { return score(a) < score(b); });
}

TEST_CASE("per_row takes the token of the highest per_row_score among the top_k", "[engine][sampler]") {
  const auto [vocab, modulus, divisor] = GENERATE(table<int64_t, int64_t, int64_t>({{1, 20011, 1024},
                                                                                    {2, 20011, 1024},
                                                                                    {331, 20011, 1024},
                                                                                    {331, 37, 8},          // ties
                                                                                    {1000, 1, 1},          // all equal
                                                                                    {5000, 20011, 65536},  // flat
                                                                                    {5000, 20011, 64}}));  // peaked
  const auto top_k = GENERATE(std::optional<int64_t>(), std::optional<int64_t>(1), std::optional<int64_t>(5),
                              std::optional<int64_t>(330), std::optional<int64_t>(100000));
  const auto dtype = GENERATE(at::kFloat, at::kDouble, at::kBFloat16, at::kHalf);
  CAPTURE(vocab, modulus, divisor, top_k.value_or(-1), dtype);
  const auto settings = settings_of(0.7, top_k, 9);
  for (const int64_t step : {0, 1, 17}) {
    const auto logits = logits_of(step, 3, vocab, modulus, divisor).to(dtype);
    const auto drawn = draw(settings, logits, step);
    for (int64_t r = 0; r < 3; ++r) CHECK(drawn[r] == best_by_score(settings, logits.select(0, r), r, step));
  }
}

TEST_CASE("the k highest logits are found in every order they may come in", "[engine][sampler]") {
  const int64_t vocab = 300;
  const int64_t k = GENERATE(1, 2, 7, 149, 150, 151, 299);
  const int order = GENERATE(0, 1, 2);  // ascending, descending, one peak
  std::vector<double> values;
  for (int64_t t = 0; t < vocab; ++t)
    values.push_back(0.01 * static_cast<double>(order == 0 ? t / 2 : order == 1 ? -t / 2 : -std::abs(t - 150)));
  const auto settings = settings_of(1.0, k, 5);
  for (int64_t step = 0; step < 50; ++step)
    CHECK(draw(settings, row_of(values), step)[0] == best_by_score(settings, row_of(values), 0, step));
}

TEST_CASE("a row's draw depends on neither the batch nor the calls before", "[engine][sampler]") {
  const auto settings = settings_of(0.9, 40);
  const auto logits = logits_of(0, 6, 331);
  const auto all = draw(settings, logits, 3);
  CHECK(std::set<TokenId>(all.begin(), all.end()).size() > 3);  // rows do differ

  Sampler sampler(settings, NanochatProcedure::naive);
  for (int64_t r = 0; r < 6; ++r) {
    CHECK(sampler.sample(logits.narrow(0, r, 1), {r}, 3, 6) == Tokens{all[r]});
    CHECK(sampler.sample(logits.narrow(0, r, 1), {r}, 3, 100) == Tokens{all[r]});
  }
  CHECK(sampler.sample(at::index_select(logits, 0, at::tensor({1, 4, 5}, at::kLong)), {1, 4, 5}, 3, 6) ==
        Tokens{all[1], all[4], all[5]});
  CHECK(sampler.sample(logits.narrow(0, 0, 0), {}, 3, 6).empty());
}

TEST_CASE("noise belongs to the row's number, not to its place or its logits", "[engine][sampler]") {
  const auto settings = settings_of(1.0);
  const auto same = logits_of(0, 1, 331, 20011, 8192).expand({4, -1});  // stride 0, as one prompt's logits come
  const auto all = draw(settings, same);
  CHECK(std::set<TokenId>(all.begin(), all.end()).size() == 4);
  Sampler sampler(settings, NanochatProcedure::engine);
  CHECK(sampler.sample(same.narrow(0, 0, 2), {1, 3}, 0, 4) == Tokens{all[1], all[3]});
}

TEST_CASE("steps and seeds draw independently", "[engine][sampler]") {
  const auto logits = at::full({1, 331}, 1.0, at::kFloat);
  std::set<TokenId> by_step, by_seed;
  for (int64_t i = 0; i < 100; ++i) {
    by_step.insert(draw(settings_of(1.0), logits, i)[0]);
    by_seed.insert(draw(settings_of(1.0, {}, static_cast<uint64_t>(i)), logits)[0]);
  }
  // 100 uniform draws out of 331 hit 86 tokens on average, with a standard deviation of 3.
  CHECK(by_step.size() > 74);
  CHECK(by_seed.size() > 74);
}

TEST_CASE("top_k 1 is greedy, and top_k 0 is no limit", "[engine][sampler]") {
  const auto mode = GENERATE(SamplerMode::per_row, SamplerMode::nanochat);
  const auto logits = logits_of(0, 4, 331);
  CHECK(draw(settings_of(1.0, 1, 42, mode), logits) == draw(settings_of(0), logits));
  CHECK(draw(settings_of(1.0, 0, 42, mode), logits) == draw(settings_of(1.0, {}, 42, mode), logits));
}

TEST_CASE("equal scores go to the lowest id", "[engine][sampler]") {
  // At 1e30 the noise is below the last bit of a score, so the scores are equal.
  const auto top_k = GENERATE(std::optional<int64_t>(), std::optional<int64_t>(3));
  CHECK(draw(settings_of(1e-30, top_k), row_of({0.0, 1.0, 0.0, 1.0, 0.5, 1.0}).expand({20, -1})) == Tokens(20, 1));
}

TEST_CASE("tokens of logit -inf are never drawn while another is there", "[engine][sampler]") {
  const auto mode = GENERATE(SamplerMode::per_row, SamplerMode::nanochat);
  const auto top_k = GENERATE(std::optional<int64_t>(), std::optional<int64_t>(3));
  const auto logits = row_of({-kInf, -kInf, -900.0, -kInf}).expand({8, -1});
  CHECK(draw(settings_of(1.0, top_k, 42, mode), logits) == Tokens(8, 2));
}

TEST_CASE("per_row_score is the logit itself where temperature is 0", "[engine][sampler]") {
  CHECK(per_row_score(settings_of(0), 2.5, 1, 2, 3) == 2.5);
  CHECK(per_row_score(settings_of(0.5), 2.5, 1, 2, 3) == 5.0 + gumbel_noise(42, 1, 2, 3));
}

// ---- errors --------------------------------------------------------------------------------------------------------

TEST_CASE("settings out of range are refused", "[engine][sampler]") {
  const auto refused = [](double temperature, std::optional<int64_t> top_k) {
    return message_of([&] { Sampler(settings_of(temperature, top_k), NanochatProcedure::engine); });
  };
  CHECK(refused(-1, {}) == "sampler.temperature: must be 0 (greedy) or a finite number from 1e-30 on, got -1");
  CHECK(refused(kInf, {}) == "sampler.temperature: must be 0 (greedy) or a finite number from 1e-30 on, got inf");
  CHECK(refused(std::nan(""), {}) ==
        "sampler.temperature: must be 0 (greedy) or a finite number from 1e-30 on, got nan");
  CHECK(refused(1e-31, {}) == "sampler.temperature: must be 0 (greedy) or a finite number from 1e-30 on, got 1e-31");
  CHECK(refused(1, -3) == "sampler.top_k: must be at least 0 (0: no limit), got -3");
  CHECK(refused(1e-30, 0) == "no error");
}

TEST_CASE("rows and logits that do not fit are refused", "[engine][sampler]") {
  const auto refused = [](const at::Tensor& logits, const std::vector<int64_t>& rows, int64_t step = 0) {
    Sampler sampler(settings_of(1), NanochatProcedure::engine);
    return message_of([&] { sampler.sample(logits, rows, step, 3); });
  };
  const auto two = logits_of(0, 2, 5);
  CHECK(refused(two.select(0, 0), {0}) ==
        "sampler: logits must be (rows, vocabulary) of a floating dtype, got 1 dimensions of Float");
  CHECK(refused(two.to(at::kLong), {0, 1}) ==
        "sampler: logits must be (rows, vocabulary) of a floating dtype, got 2 dimensions of Long");
  CHECK(refused(two, {0}) == "sampler: expected one row number per row of logits (2), got 1");
  CHECK(refused(two, {0, 1}, -1) == "sampler: step must be at least 0, got -1");
  const std::string ascend = "sampler: row numbers must ascend and lie below rows_of_original (3), got ";
  CHECK(refused(two, {1, 0}) == ascend + "0 at index 1");
  CHECK(refused(two, {1, 1}) == ascend + "1 at index 1");
  CHECK(refused(two, {0, 3}) == ascend + "3 at index 1");
  CHECK(refused(two, {-1, 0}) == ascend + "-1 at index 0");
}

TEST_CASE("logits that are no numbers are refused, with their row and token", "[engine][sampler]") {
  const auto mode = GENERATE(SamplerMode::per_row, SamplerMode::nanochat);
  const double temperature = GENERATE(0.0, 1.0);
  const auto dtype = GENERATE(at::kFloat, at::kDouble, at::kBFloat16);
  const auto refused = [&](const std::vector<double>& second) {
    const auto logits = at::full({2, 3}, 1.0, at::kDouble);
    logits.select(0, 1).copy_(at::tensor(second, at::kDouble));
    Sampler sampler(settings_of(temperature, {}, 42, mode), NanochatProcedure::engine);
    return message_of([&] { sampler.sample(logits.to(dtype), {0, 6}, 0, 7); });
  };
  const std::string next = ", expected numbers: the weights are damaged or overflow in this dtype, or the engine "
                           "computes wrongly; copy the checkpoint again, or try dtype float32";
  CHECK(refused({1, 2, std::nan("")}) == "sampler: logits of row 6 hold NaN at token 2" + next);
  CHECK(refused({1, kInf, 0}) == "sampler: logits of row 6 hold inf at token 1" + next);
  CHECK(refused({-kInf, -kInf, -kInf}) == "sampler: logits of row 6 hold nothing but -inf" + next);
  CHECK(refused({-kInf, -kInf, 0}) == "no error");
}

}  // namespace
}  // namespace kvproof
