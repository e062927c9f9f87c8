#include "engine/generate/sampler.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/multinomial.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <tuple>

#include "engine/error.h"
#include "engine/splitmix.h"

namespace kvproof {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Below it float32 logits of a few hundred millions overflow when divided, and softmax gives NaN.
constexpr double kMinTemperature = 1e-30;

// ---- noise ---------------------------------------------------------------------------------------------------------

// One finaliser per argument, so that neighbouring seeds, rows and steps share nothing.
constexpr uint64_t row_key(uint64_t seed, int64_t row, int64_t step) {
  const uint64_t of_row = mix_bits(mix_bits(seed + kGoldenGamma) + static_cast<uint64_t>(row) * kGoldenGamma);
  return mix_bits(of_row + (static_cast<uint64_t>(step) + 1) * kGoldenGamma);
}

constexpr uint64_t token_bits(uint64_t key, TokenId token) {
  return mix_bits(key ^ mix_bits((static_cast<uint64_t>(token) + 1) * kGoldenGamma));
}

// -log(-log(u)), u one of the 2^52 midpoints in (0, 1): neither end is reached, so the noise is finite.
double gumbel(uint64_t bits) {
  const double u = (static_cast<double>(bits >> 12) + 0.5) * 0x1p-52;
  return -std::log(-std::log(u));
}

// At least gumbel(bits), without a logarithm: -log(-log(u)) < -log(1 - u), and 1 - u has as many zeros ahead as u ones.
double gumbel_bound(uint64_t bits) {
  constexpr double kAboveLn2 = 0.6931472;
  return (std::countl_zero(~bits) + 1) * kAboveLn2;
}

// ---- one row, by score ---------------------------------------------------------------------------------------------

template <typename T>
TokenId argmax(const T* logits, int64_t vocab) {
  return static_cast<TokenId>(std::max_element(logits, logits + vocab) - logits);  // the first of equals
}

template <typename T>
struct Candidate {
  T logit;
  TokenId token;
  // Higher logits first, ties by lowest id.
  bool operator<(const Candidate& other) const {
    return logit > other.logit || (logit == other.logit && token < other.token);
  }
};

// The k < vocab highest logits, in no order. One pass with a buffer of 2k: what is below the k-th so far is skipped.
template <typename T>
std::vector<Candidate<T>> highest(const T* logits, int64_t vocab, int64_t k) {
  std::vector<Candidate<T>> kept;
  const auto keep_k = [&] {
    std::nth_element(kept.begin(), kept.begin() + (k - 1), kept.end());
    kept.resize(k);
  };
  const auto room = static_cast<std::size_t>(std::min(2 * k, vocab));
  kept.reserve(room);
  bool full = false;
  T lowest{};
  for (int64_t t = 0; t < vocab; ++t) {
    if (full && !(logits[t] > lowest)) continue;  // an equal one loses to the lower ids kept
    kept.push_back({logits[t], static_cast<TokenId>(t)});
    if (kept.size() < room) continue;
    keep_k();
    lowest = kept.back().logit;
    full = true;
  }
  if (static_cast<int64_t>(kept.size()) > k) keep_k();
  return kept;
}

class GumbelMax {
 public:
  GumbelMax(const SamplerSettings& settings, int64_t row, int64_t step)
      : temperature_(settings.temperature), key_(row_key(settings.seed, row, step)) {}

  void consider(double logit, TokenId token) {
    const uint64_t bits = token_bits(key_, token);
    const double scaled = logit / temperature_;
    if (scaled + gumbel_bound(bits) < score_) return;  // most tokens: two logarithms saved
    const double score = scaled + gumbel(bits);
    if (score > score_ || (score == score_ && token < token_)) {
      score_ = score;
      token_ = token;
    }
  }

  TokenId token() const { return token_; }

 private:
  double temperature_;
  uint64_t key_;
  double score_ = -kInfinity;
  TokenId token_ = std::numeric_limits<TokenId>::max();
};

template <typename T>
TokenId draw_per_row(const SamplerSettings& settings, const T* logits, int64_t vocab, int64_t row, int64_t step) {
  GumbelMax best(settings, row, step);
  const int64_t k = settings.top_k.value_or(0);
  if (k > 0 && k < vocab) {
    for (const auto& candidate : highest(logits, vocab, k)) best.consider(candidate.logit, candidate.token);
  } else {
    for (int64_t t = 0; t < vocab; ++t) best.consider(logits[t], static_cast<TokenId>(t));
  }
  return best.token();
}

// ---- all rows, as nanochat draws -----------------------------------------------------------------------------------

at::Tensor draw_nanochat(const SamplerSettings& settings, NanochatProcedure procedure, at::Tensor logits,
                         const at::Generator& generator) {
  const int64_t top_k = std::min(settings.top_k.value_or(0), logits.size(1));
  const auto draw = [&](const at::Tensor& values) {
    return at::multinomial(at::softmax(values.div(settings.temperature), -1), 1, /*replacement=*/false, generator);
  };
  if (top_k == 0) return draw(logits);                         // (n, 1)
  const auto [values, indices] = at::topk(logits, top_k, -1);  // (n, k), descending
  if (procedure == NanochatProcedure::engine) return at::gather(indices, 1, draw(values));
  return draw(logits.masked_fill(logits.lt(values.narrow(1, top_k - 1, 1)), -kInfinity));  // ties with the k-th stay
}

// (n, V): each row at its original place, zeros where one is gone. The noise of multinomial is one stream over all
// places, so a row's draw depends on where it stands and on how many there are.
at::Tensor at_original_places(const at::Tensor& logits, const std::vector<int64_t>& rows, int64_t rows_of_original) {
  const auto all = at::zeros({rows_of_original, logits.size(1)}, logits.options());
  for (std::size_t i = 0; i < rows.size(); ++i) all.select(0, rows[i]).copy_(logits.select(0, static_cast<int64_t>(i)));
  return all;
}

// ---- checks --------------------------------------------------------------------------------------------------------

void check_arguments(const at::Tensor& logits, const std::vector<int64_t>& rows, int64_t step,
                     int64_t rows_of_original) {
  const auto fail = [](const std::string& message) { throw ArgumentError("sampler", message); };
  if (logits.dim() != 2 || logits.size(1) == 0 || !logits.is_floating_point())
    fail(fmt::format("logits must be (rows, vocabulary) of a floating dtype, got {} dimensions of {}", logits.dim(),
                     c10::toString(logits.scalar_type())));
  if (static_cast<int64_t>(rows.size()) != logits.size(0))
    fail(fmt::format("expected one row number per row of logits ({}), got {}", logits.size(0), rows.size()));
  if (step < 0) fail(fmt::format("step must be at least 0, got {}", step));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0 || rows[i] >= rows_of_original || (i > 0 && rows[i] <= rows[i - 1]))
      fail(fmt::format("row numbers must ascend and lie below rows_of_original ({}), got {} at index {}",
                       rows_of_original, rows[i], i));
  }
}

// Softmax over such a row would be NaN and its argmax arbitrary; a broken forward must be seen here.
template <typename T>
void check_logits(const T* logits, int64_t vocab, int64_t row) {
  int bad = 0, above = 0;
  for (int64_t t = 0; t < vocab; ++t) {
    bad |= !(logits[t] < kInfinity);
    above |= logits[t] > -kInfinity;
  }
  if (!bad && above) return;
  const auto at = std::find_if(logits, logits + vocab, [](T x) { return !(x < kInfinity); });
  const char* found = !bad ? "nothing but -inf" : std::isnan(*at) ? "NaN" : "inf";
  const std::string where = bad ? fmt::format(" at token {}", at - logits) : "";
  throw CheckpointError("sampler", fmt::format("logits of row {} hold {}{}, expected numbers: the weights are damaged or "
                                               "overflow in this dtype, or the engine computes wrongly; copy the checkpoint "
                                               "again, or try dtype float32",
                                               row, found, where));
}

}  // namespace

void check_sampler_settings(const SamplerSettings& settings) {
  const double temperature = settings.temperature;
  if (temperature != 0 && !(temperature >= kMinTemperature && temperature < kInfinity))
    throw ArgumentError("sampler.temperature", fmt::format("must be 0 (greedy) or a finite number from {} on, got {}",
                                                           kMinTemperature, temperature));
  if (settings.top_k.value_or(0) < 0)
    throw ArgumentError("sampler.top_k", fmt::format("must be at least 0 (0: no limit), got {}", *settings.top_k));
}

struct Sampler::State {
  SamplerSettings settings;
  NanochatProcedure procedure;
  at::Generator generator;  // undefined in per_row mode

  template <typename T>
  std::vector<TokenId> sample(const at::Tensor& logits, const std::vector<int64_t>& rows, int64_t step,
                              int64_t rows_of_original) {
    const int64_t vocab = logits.size(1);
    const T* first = logits.const_data_ptr<T>();
    const bool one_stream = settings.mode == SamplerMode::nanochat && settings.temperature != 0;
    std::vector<TokenId> tokens;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const T* row = first + static_cast<int64_t>(i) * vocab;
      check_logits(row, vocab, rows[i]);
      if (one_stream) continue;
      tokens.push_back(settings.temperature == 0 ? argmax(row, vocab)
                                                 : draw_per_row(settings, row, vocab, rows[i], step));
    }
    if (!one_stream) return tokens;
    const auto all = at_original_places(logits.to(at::kFloat), rows, rows_of_original);             // (n, V)
    const auto drawn = draw_nanochat(settings, procedure, all, generator).view({-1}).contiguous();  // (n)
    for (const int64_t row : rows) tokens.push_back(static_cast<TokenId>(drawn.const_data_ptr<int64_t>()[row]));
    return tokens;
  }
};

Sampler::Sampler(const SamplerSettings& settings, NanochatProcedure procedure)
    : state_(std::make_unique<State>(State{settings, procedure, {}})) {
  check_sampler_settings(settings);
  if (settings.mode == SamplerMode::nanochat)
    state_->generator = at::make_generator<at::CPUGeneratorImpl>(settings.seed);
}

Sampler::~Sampler() = default;

std::vector<TokenId> Sampler::sample(const at::Tensor& logits, const std::vector<int64_t>& rows, int64_t step,
                                     int64_t rows_of_original) {
  check_arguments(logits, rows, step, rows_of_original);
  const bool is_double = logits.scalar_type() == at::kDouble;
  // bfloat16 and float16 are exact in float32.
  const auto on_cpu = logits.detach().to(at::kCPU, is_double ? at::kDouble : at::kFloat).contiguous();
  return is_double ? state_->sample<double>(on_cpu, rows, step, rows_of_original)
                   : state_->sample<float>(on_cpu, rows, step, rows_of_original);
}

double per_row_score(const SamplerSettings& settings, double logit, int64_t row, int64_t step, TokenId token) {
  if (settings.temperature == 0) return logit;
  return logit / settings.temperature + gumbel_noise(settings.seed, row, step, token);
}

double gumbel_noise(uint64_t seed, int64_t row, int64_t step, TokenId token) {
  return gumbel(token_bits(row_key(seed, row, step), token));
}

}  // namespace kvproof
