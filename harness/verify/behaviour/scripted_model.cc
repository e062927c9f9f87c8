#include "harness/verify/behaviour/scripted_model.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <bit>

namespace kvproof {
namespace {

GptConfig scripted_config() {
  ModelDims dims;
  dims.sequence_len = 28;  // 280 positions: a cache without max_tokens begins with room for 256 and must grow
  dims.vocab_size = ScriptedModel::kVocabulary;
  dims.n_layer = 2;
  dims.n_head = 2;
  dims.n_kv_head = 1;
  dims.n_embd = 8;
  return {dims, architecture_of("2026-01", dims)};
}

uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 32)) * 0xD6E8FEB86659FD93;
  x = (x ^ (x >> 32)) * 0xD6E8FEB86659FD93;
  return x ^ (x >> 32);
}

/// What slot `position` of the storage must hold: token and position in plain sight, then where it belongs.
double entry(bool is_value, int64_t layer, int64_t head, int64_t d, int64_t position, int32_t token) {
  const double place = static_cast<double>(d) + 8 * static_cast<double>(head) + 64 * static_cast<double>(layer);
  return (is_value ? -1 : 1) * (static_cast<double>(token) + 1e-4 * static_cast<double>(position) + 1e-8 * place);
}

/// Takes one position into a row's hash. entry_at(is_value, layer, head, d): what the storage holds there.
template <typename Entry>
uint64_t fold(const GptConfig& config, uint64_t hash, int32_t token, const Entry& entry_at) {
  hash = mix(hash + static_cast<uint64_t>(token) + 1);
  for (const bool is_value : {false, true})
    for (int64_t layer = 0; layer < config.n_layer; ++layer)
      for (int64_t head = 0; head < config.n_kv_head; ++head)
        for (int64_t d = 0; d < config.head_dim(); ++d)
          hash = mix(hash ^ std::bit_cast<uint64_t>(static_cast<double>(entry_at(is_value, layer, head, d))));
  return hash;
}

/// The same from the token alone, as a forward without a cache has it.
uint64_t fold_exact(const GptConfig& config, uint64_t hash, int64_t position, int32_t token) {
  return fold(config, hash, token, [&](bool is_value, int64_t layer, int64_t head, int64_t d) {
    return entry(is_value, layer, head, d, position, token);
  });
}

}  // namespace

ScriptedModel::ScriptedModel() : Model(scripted_config(), at::kDouble, at::kCPU) {}

std::vector<double> ScriptedModel::logits_after(std::span<const int32_t> history) const {
  uint64_t hash = 0;
  for (std::size_t p = 0; p < history.size(); ++p)
    hash = fold_exact(config(), hash, static_cast<int64_t>(p), history[p]);
  std::vector<double> logits(kVocabulary);
  fill_logits(hash, history, logits.data());
  return logits;
}

void ScriptedModel::fill_logits(uint64_t fingerprint, std::span<const int32_t> history, double* logits) const {
  for (int64_t v = 0; v < kVocabulary; ++v) {
    const uint64_t bits = mix(fingerprint + static_cast<uint64_t>(v + 1) * 0x9E3779B97F4A7C15);
    logits[v] = static_cast<double>(bits >> 11) * 0x1p-53 * 6 - 3;
  }
  if (!script_) return;
  for (const Said& said : script_(history)) logits[said.token] = said.logit;
}

void ScriptedModel::write(const StepPlan& plan, const TokenBatch& tokens, KVCache& cache) const {
  const int64_t G = config().n_kv_head, D = config().head_dim(), T = plan.length;
  for (int64_t layer = 0; layer < config().n_layer; ++layer) {
    const at::Tensor keys = at::zeros({plan.batch, G, T, D}, at::kDouble);    // (B, G, T, D)
    const at::Tensor values = at::zeros({plan.batch, G, T, D}, at::kDouble);  // (B, G, T, D)
    double *k = keys.mutable_data_ptr<double>(), *v = values.mutable_data_ptr<double>();
    for (int64_t b = 0; b < plan.batch; ++b)
      for (int64_t g = 0; g < G; ++g)
        for (int64_t t = 0; t < plan.rows[b].length; ++t)
          for (int64_t d = 0; d < D; ++d) {
            const int64_t at = ((b * G + g) * T + t) * D + d, position = plan.rows[b].position + t;
            k[at] = entry(false, layer, g, d, position, tokens.row(b)[t]);
            v[at] = entry(true, layer, g, d, position, tokens.row(b)[t]);
          }
    cache.write(layer, keys, values, plan);
  }
}

uint64_t ScriptedModel::read(const KVCache& cache, int64_t row, std::span<const int32_t> tokens) const {
  struct Storage {
    const double* data;
    int64_t head, slot, channel;  // strides
  };
  std::vector<Storage> of_layer[2];
  for (const bool is_value : {false, true})
    for (int64_t layer = 0; layer < config().n_layer; ++layer) {
      const at::Tensor all = (is_value ? cache.values(layer) : cache.keys(layer)).select(0, row);  // (G, capacity, D)
      of_layer[is_value].push_back({all.const_data_ptr<double>(), all.stride(0), all.stride(1), all.stride(2)});
    }
  uint64_t hash = 0;
  for (int64_t slot = 0; slot < static_cast<int64_t>(tokens.size()); ++slot)
    hash = fold(config(), hash, tokens[slot], [&](bool is_value, int64_t layer, int64_t head, int64_t d) {
      const Storage& s = of_layer[is_value][layer];
      return s.data[head * s.head + slot * s.slot + d * s.channel];
    });
  return hash;
}

at::Tensor ScriptedModel::execute(const StepPlan& plan, const TokenBatch& tokens, KVCache* cache, LogitsAt at) const {
  const int64_t B = plan.batch, T = plan.length, V = kVocabulary;
  if (cache) write(plan, tokens, *cache);
  const at::Tensor logits = at == LogitsAt::all ? at::zeros({B, T, V}, at::kDouble)  // (B, T, V)
                                                : at::empty({B, V}, at::kDouble);    // (B, V)
  double* out = logits.mutable_data_ptr<double>();
  for (int64_t b = 0; b < B; ++b) {
    const RowPlan& row = plan.rows[b];
    std::vector<int32_t> history;
    if (cache) history = cache->tokens(row.cache_row);
    const auto fresh = tokens.row(b);
    uint64_t hash = 0;
    for (int64_t t = 0; t < row.length; ++t) {
      history.push_back(fresh[t]);
      if (!cache) hash = fold_exact(config(), hash, row.position + t, fresh[t]);
      if (at == LogitsAt::last && t + 1 < row.length) continue;
      if (cache) hash = read(*cache, row.cache_row, history);
      fill_logits(hash, history, at == LogitsAt::all ? out + (b * T + t) * V : out + b * V);
    }
  }
  return logits;
}

}  // namespace kvproof
