#include "engine/model/cost_model.h"

#include <algorithm>

namespace kvproof {
namespace {

// Elements of the matrices one token is multiplied by in one layer.
int64_t layer_matmul(const GptConfig& c, int64_t layer) {
  const int64_t C = c.n_embd, kv = c.n_kv_head * c.head_dim();
  const int64_t gate = c.has_value_embed(layer) ? c.n_kv_head * c.ve_gate_channels : 0;
  return C * C + 2 * C * kv + C * C + 2 * C * c.mlp_width() + gate;  // c_q, c_k and c_v, c_proj, the MLP's two, ve_gate
}

int64_t value_embed_layers(const GptConfig& c) {
  int64_t count = 0;
  for (int64_t i = 0; i < c.n_layer; ++i) count += c.has_value_embed(i);
  return count;
}

int64_t keys_seen(const GptConfig& c, int64_t layer, int64_t position) { return std::min(position, c.window(layer)) + 1; }

}  // namespace

ParameterCount count_parameters(const GptConfig& c) {
  ParameterCount count{};
  for (int64_t i = 0; i < c.n_layer; ++i) count.matmul += layer_matmul(c, i);
  count.matmul += c.vocab_size * c.n_embd + (c.has_smear ? kSmearChannels : 0);
  count.embedding = c.vocab_size * (c.n_embd + value_embed_layers(c) * c.n_kv_head * c.head_dim());
  count.scalar = (c.has_lambdas ? 2 * c.n_layer : 0) + (c.has_smear ? 1 : 0) + (c.has_backout ? 1 : 0);
  count.total = count.matmul + count.embedding + count.scalar;
  return count;
}

double flops_per_token(const GptConfig& c, int64_t position, bool with_logits) {
  const int64_t logits = c.vocab_size * c.n_embd;
  double flops = 2.0 * static_cast<double>(count_parameters(c).matmul - (with_logits ? 0 : logits));
  for (int64_t i = 0; i < c.n_layer; ++i)
    flops += 4.0 * static_cast<double>(keys_seen(c, i, position) * c.n_head * c.head_dim());  // q·k and weights·v
  return flops;
}

double flops_of_forward(const GptConfig& c, int64_t first, int64_t count, bool logits_at_all) {
  double flops = 0;
  for (int64_t t = 0; t < count; ++t) flops += flops_per_token(c, first + t, logits_at_all || t == count - 1);
  return flops;
}

int64_t kv_bytes_per_token(const GptConfig& c, int64_t bytes_per_element) {
  return 2 * c.n_layer * c.n_kv_head * c.head_dim() * bytes_per_element;
}

int64_t weight_bytes_read(const GptConfig& c, int64_t bytes_per_element, int64_t batch) {
  const ParameterCount count = count_parameters(c);
  return bytes_per_element * (count.matmul + count.scalar + batch * (count.embedding / c.vocab_size));
}

int64_t kv_bytes_read(const GptConfig& c, int64_t bytes_per_element, int64_t position) {
  int64_t keys = 0;
  for (int64_t i = 0; i < c.n_layer; ++i) keys += keys_seen(c, i, position);
  return 2 * keys * c.n_kv_head * c.head_dim() * bytes_per_element;
}

int64_t naive_token_forwards(int64_t prompt, int64_t generated) {
  return generated * prompt + generated * (generated - 1) / 2;
}

int64_t engine_token_forwards(int64_t prompt, int64_t generated, int64_t rows) {
  return generated == 0 ? 0 : prompt + rows * (generated - 1);
}

}  // namespace kvproof
