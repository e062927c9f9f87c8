#include "engine/model/step_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "engine/model/kv_cache.h"

namespace kvproof {
namespace {

void check_tokens(const GptConfig& config, const TokenBatch& tokens) {
  const int64_t B = tokens.batch, T = tokens.length;
  if (B < 1 || T < 1) throw ArgumentError("tokens", fmt::format("expected at least one row of one token, got {} x {}", B, T));
  if (static_cast<int64_t>(tokens.ids.size()) != B * T)
    throw ArgumentError("tokens", fmt::format("expected {} x {} ids, got {}", B, T, tokens.ids.size()));
  if (!tokens.lengths.empty() && static_cast<int64_t>(tokens.lengths.size()) != B)
    throw ArgumentError("tokens", fmt::format("expected {} row lengths, got {}", B, tokens.lengths.size()));
  for (int64_t b = 0; b < B; ++b) {
    if (tokens.row_length(b) < 1 || tokens.row_length(b) > T)
      throw ArgumentError("tokens", fmt::format("row {}: length must be in [1, {}], got {}", b, T, tokens.row_length(b)));
  }
  for (std::size_t i = 0; i < tokens.ids.size(); ++i) {
    if (tokens.ids[i] < 0 || tokens.ids[i] >= config.vocab_size)
      throw ArgumentError("tokens", fmt::format("id {} at position {} of row {}: must be in [0, {})", tokens.ids[i],
                                                i % T, i / T, config.vocab_size));
  }
}

void check_rotary(const GptConfig& config, int64_t end) {
  if (end > config.rotary_len())
    throw CapacityError("rotary tables", fmt::format("{} positions asked for, the tables cover {} (10 x sequence_len {}); "
                                                     "shorten the prompt or max_tokens",
                                                     end, config.rotary_len(), config.sequence_len));
}

// Everything but the rows, which are set.
void fill(const GptConfig& config, const TokenBatch& tokens, bool cached, StepPlan& plan) {
  plan.cached = cached;
  plan.batch = tokens.batch;
  plan.length = tokens.length;
  plan.layers.resize(config.n_layer);
  const double attention_scale = 1.0 / std::sqrt(static_cast<double>(config.head_dim()));
  for (int64_t i = 0; i < config.n_layer; ++i) {
    LayerPlan& layer = plan.layers[i];
    layer.window = config.window(i);
    layer.diagonal = 0;
    layer.q_scale = layer.k_scale = config.qk_scale;
    layer.attention_scale = attention_scale;
    layer.key_block = 0;
    layer.key_begin.clear();
    layer.key_end.clear();
    for (const RowPlan& row : plan.rows) {
      layer.key_begin.push_back(std::max<int64_t>(0, row.write_at - layer.window));
      layer.key_end.push_back(row.write_at + row.length);
    }
  }
  const int64_t group = config.n_head / config.n_kv_head;
  plan.kv_head.clear();
  for (int64_t h = 0; h < config.n_head; ++h) plan.kv_head.push_back(h / group);
}

}  // namespace

TokenBatch TokenBatch::single(std::vector<int32_t> ids) {
  const auto length = static_cast<int64_t>(ids.size());
  return {1, length, std::move(ids), {}};
}

TokenBatch TokenBatch::column(const std::vector<int32_t>& tokens) {
  return {static_cast<int64_t>(tokens.size()), 1, tokens, {}};
}

bool StepPlan::uniform() const {
  const RowPlan& first = rows.front();
  for (int64_t b = 0; b < batch; ++b) {
    const RowPlan& row = rows[b];
    if (row.position != first.position || row.length != length || row.write_at != first.write_at || row.cache_row != b)
      return false;
    for (const LayerPlan& layer : layers) {
      if (layer.key_begin[b] != layer.key_begin[0] || layer.key_end[b] != layer.key_end[0]) return false;
    }
  }
  return true;
}

void plan_uncached(const GptConfig& config, const TokenBatch& tokens, StepPlan& plan) {
  check_tokens(config, tokens);
  check_rotary(config, tokens.length);
  plan.rows.clear();
  for (int64_t b = 0; b < tokens.batch; ++b)
    plan.rows.push_back({.position = 0, .length = tokens.row_length(b), .cache_row = b, .write_at = 0, .advance = 0,
                         .previous_token = kNoToken});
  fill(config, tokens, false, plan);
}

void plan_cached(const GptConfig& config, const TokenBatch& tokens, const KVCache& cache, StepPlan& plan) {
  check_tokens(config, tokens);
  if (tokens.batch != cache.batch())
    throw ArgumentError("tokens", fmt::format("expected {} rows, one per cache row, got {}", cache.batch(), tokens.batch));
  plan.rows.clear();
  for (int64_t b = 0; b < tokens.batch; ++b) {
    const int64_t position = cache.length(b), length = tokens.row_length(b);
    check_rotary(config, position + length);
    if (position + length > cache.capacity())
      throw CapacityError("KV cache", fmt::format("row {} holds {} positions and {} more were given, capacity is {}; reserve first",
                                                  b, position, length, cache.capacity()));
    plan.rows.push_back({.position = position, .length = length, .cache_row = b, .write_at = position, .advance = length,
                         .previous_token = position > 0 ? cache.tokens(b).back() : kNoToken});
  }
  fill(config, tokens, true, plan);
}

}  // namespace kvproof
