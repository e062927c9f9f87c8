#include "harness/verify/behaviour/nanochat_draw.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/multinomial.h>
#include <ATen/ops/softmax.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace kvproof {
namespace {

/// Ids by falling logit, in float32 as nanochat has them.
std::vector<TokenId> by_logit(const std::vector<double>& logits) {
  std::vector<TokenId> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(),
                   [&](TokenId a, TokenId b) { return static_cast<float>(logits[a]) > static_cast<float>(logits[b]); });
  return ids;
}

}  // namespace

StepDraw nanochat_draw(const SamplerSettings& settings, Path path, int64_t rows) {
  const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(settings.seed);
  return [settings, path, rows, generator](const std::vector<int64_t>& live,
                                           const std::vector<std::vector<double>>& logits) {
    const auto V = static_cast<int64_t>(logits.at(0).size());
    const int64_t k = std::min(settings.top_k.value_or(0), V);
    const bool compact = k > 0 && path == Path::engine;  // the engine draws among the k values, best first
    const int64_t width = compact ? k : V;
    const at::Tensor weights = at::full({rows, width}, 0.0F);  // (rows, k | V); what ended rows draw nobody sees
    std::vector<std::vector<TokenId>> ids;
    for (std::size_t i = 0; i < live.size(); ++i) {
      ids.push_back(by_logit(logits[i]));
      float* out = weights.mutable_data_ptr<float>() + live[i] * width;
      const auto worst = k > 0 ? static_cast<float>(logits[i][ids[i][k - 1]]) : -std::numeric_limits<float>::infinity();
      for (int64_t at = 0; at < width; ++at) {
        const auto logit = static_cast<float>(logits[i][compact ? ids[i][at] : at]);
        out[at] = logit < worst ? -std::numeric_limits<float>::infinity() : logit;
      }
    }
    const at::Tensor drawn =
        at::multinomial(at::softmax(weights.div(settings.temperature), -1), 1, false, generator);  // (rows, 1)
    std::vector<TokenId> tokens;
    for (std::size_t i = 0; i < live.size(); ++i) {
      const int64_t at = drawn.const_data_ptr<int64_t>()[live[i]];
      tokens.push_back(compact ? ids[i][at] : static_cast<TokenId>(at));
    }
    return tokens;
  };
}

}  // namespace kvproof
