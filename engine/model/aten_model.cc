#include "engine/model/aten_model.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "engine/model/rotary.h"
#include "engine/model/weights.h"

namespace kvproof {
namespace {

using at::Tensor;

// What all layers of one forward share.
struct Step {
  const StepPlan& plan;
  bool uniform;        // one mask and one key range serve all rows
  Tensor ids;          // (B, T) int64
  Tensor cos, sin;     // (T, 1, D/2) or (B, T, 1, D/2)
};

class AtenModel final : public Model {
 public:
  AtenModel(const GptConfig& config, GptWeights weights, RotaryTables rotary, at::ScalarType dtype, at::Device device)
      : Model(config, dtype, device), w_(std::move(weights)), rotary_(std::move(rotary)),
        eps_(at::scalar_tensor(config.norm_eps, at::TensorOptions()
                                                    .dtype(dtype == at::kDouble ? at::kDouble : at::kFloat)
                                                    .device(device))) {}

  std::string backend() const override { return "aten"; }

 protected:
  Tensor execute(const StepPlan& plan, const TokenBatch& tokens, KVCache* cache, LogitsAt at) const override;

 private:
  Step prepare(const StepPlan& plan, const TokenBatch& tokens) const;
  Tensor embed(const Step& step, const TokenBatch& tokens) const;
  Tensor attention(const Step& step, int64_t layer, const Tensor& x, KVCache* cache) const;
  Tensor mlp(const LayerWeights& w, const Tensor& x) const;
  Tensor head(const Step& step, const Tensor& x, LogitsAt at) const;
  Tensor norm(const Tensor& x) const;
  // Weights may be stored in another dtype than the model computes in. Asking first is cheaper than a conversion that does nothing.
  Tensor as_computed(const Tensor& t) const { return t.scalar_type() == dtype() ? t : t.to(dtype()); }
  Tensor linear(const Tensor& x, const Tensor& weight) const { return at::linear(x, as_computed(weight)); }
  Tensor embedding(const Tensor& weight, const Tensor& ids) const { return as_computed(at::embedding(weight, ids)); }
  Tensor to_ids(std::vector<int64_t> ids, at::IntArrayRef shape) const {
    return at::tensor(ids, at::TensorOptions().dtype(at::kLong)).view(shape).to(device());
  }

  GptWeights w_;
  RotaryTables rotary_;
  Tensor eps_;  // of norm; its dtype is the one norm computes in
};

// rms_norm over the last dimension, at least in float32. at::rms_norm does the same in three times as long on tensors
// as small as a decode step's.
Tensor AtenModel::norm(const Tensor& x) const {
  const Tensor length = at::linalg_vector_norm(x, 2, {-1}, /*keepdim=*/true, eps_.scalar_type());
  const Tensor mean_square = at::addcmul(eps_, length, length, 1.0 / static_cast<double>(x.size(-1)));
  return (x * mean_square.rsqrt()).to(dtype());
}

Step AtenModel::prepare(const StepPlan& plan, const TokenBatch& tokens) const {
  const int64_t B = plan.batch, T = plan.length, half = config().head_dim() / 2;
  Step step{plan, plan.uniform(), to_ids({tokens.ids.begin(), tokens.ids.end()}, {B, T}), {}, {}};
  if (step.uniform) {
    const int64_t first = plan.rows[0].position;
    step.cos = rotary_.cos.narrow(0, first, T).unsqueeze(1);  // (T, 1, D/2)
    step.sin = rotary_.sin.narrow(0, first, T).unsqueeze(1);
    return step;
  }
  std::vector<int64_t> positions;
  for (const RowPlan& row : plan.rows)
    for (int64_t t = 0; t < T; ++t) positions.push_back(row.position + std::min(t, row.length - 1));  // padding stays in range
  const Tensor at = to_ids(positions, {B * T});
  step.cos = rotary_.cos.index_select(0, at).view({B, T, 1, half});
  step.sin = rotary_.sin.index_select(0, at).view({B, T, 1, half});
  return step;
}

// The normed token embeddings, each mixed with its predecessor's where the architecture smears, (B, T, C).
Tensor AtenModel::embed(const Step& step, const TokenBatch& tokens) const {
  const Tensor x = norm(embedding(w_.wte, step.ids));  // (B, T, C)
  tap(Stage::embed, 0, x);
  if (!config().has_smear) return x;
  const int64_t B = x.size(0), T = x.size(1);
  std::vector<int64_t> previous_ids;
  bool all_known = true;
  for (const RowPlan& row : step.plan.rows) {
    all_known &= row.previous_token != kNoToken;
    previous_ids.push_back(std::max(row.previous_token, 0));
  }
  Tensor before = norm(embedding(w_.wte, to_ids(previous_ids, {B, 1})));  // (B, 1, C)
  if (!all_known) {  // nothing precedes position 0: its predecessor counts as zero
    for (int64_t b = 0; b < B; ++b)
      if (step.plan.rows[b].previous_token == kNoToken) before[b].zero_();
  }
  const Tensor previous = T == 1 ? before : at::cat({before, x.narrow(1, 0, T - 1)}, 1);  // (B, T, C), pre-smear
  const Tensor gate = linear(x.narrow(2, 0, kSmearChannels), w_.smear_gate).sigmoid().mul_(w_.smear_lambda);  // (B, T, 1)
  return x + gate * previous;
}

// Rotates the two halves of every head by its position, (B, T, H, D).
Tensor rotate(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  const int64_t half = x.size(3) / 2;
  const Tensor x1 = x.narrow(3, 0, half), x2 = x.narrow(3, half, half);
  return at::cat({x1 * cos + x2 * sin, x2 * cos - x1 * sin}, 3);
}

// The mask of one row's queries over slots [begin, end), (T, S), true = visible; nothing where all is visible.
std::optional<Tensor> visibility(const RowPlan& row, const LayerPlan& layer, int64_t begin, int64_t end, at::Device device) {
  const int64_t last = row.write_at + row.length - 1;
  const bool all_causal = end - 1 <= row.write_at + layer.diagonal, all_near = begin >= last - layer.window;
  if (all_causal && all_near) return std::nullopt;
  const auto options = at::TensorOptions().dtype(at::kLong).device(device);
  const Tensor slots = at::arange(row.write_at, row.write_at + row.length, options).unsqueeze(1);  // (T, 1)
  const Tensor keys = at::arange(begin, end, options).unsqueeze(0);                                // (1, S)
  Tensor visible = keys <= slots + layer.diagonal;                                                 // (T, S)
  if (!all_near) visible.logical_and_(keys >= slots - layer.window);
  return visible;
}

// softmax(q kᵀ · scale) v over blocks of keys, the last block first, as kernels that never hold all scores do it. q, k and v
// (B, H, n, D); visible (T, S), true = seen, or nothing where all is.
Tensor attend_by_blocks(Tensor q, Tensor k, Tensor v, const std::optional<Tensor>& visible, double scale, int64_t block) {
  const int64_t S = k.size(2);
  const at::ScalarType dtype = q.scalar_type(), wide = dtype == at::kDouble ? at::kDouble : at::kFloat;
  q = q.to(wide);
  k = k.to(wide);
  v = v.to(wide);
  Tensor sum, shares, highest;  // of the blocks so far: (B, H, T, D), (B, H, T, 1), (B, H, T, 1)
  for (int64_t begin = (S - 1) / block * block; begin >= 0; begin -= block) {
    const int64_t count = std::min(block, S - begin);
    Tensor scores = at::matmul(q, k.narrow(2, begin, count).transpose(2, 3)).mul_(scale);  // (B, H, T, count)
    if (visible) scores.masked_fill_(visible->narrow(1, begin, count).logical_not(), -1e30);
    const Tensor top = highest.defined() ? at::maximum(highest, scores.amax({3}, true)) : scores.amax({3}, true);
    const Tensor weights = (scores - top).exp();
    const Tensor here = at::matmul(weights, v.narrow(2, begin, count)), here_shares = weights.sum({3}, true);
    if (!highest.defined()) {
      std::tie(sum, shares) = std::tuple(here, here_shares);
    } else {
      const Tensor fade = (highest - top).exp();
      sum = sum * fade + here;
      shares = shares * fade + here_shares;
    }
    highest = top;
  }
  return (sum / shares).to(dtype);
}

// q (B, H, T, D) over k, v (B, G, S, D), which hold slots [begin, begin + S): (B, H, T, D).
Tensor attend(const Tensor& q, Tensor k, Tensor v, const RowPlan& row, const LayerPlan& layer, int64_t begin,
              const std::vector<int64_t>& kv_head) {
  bool one_to_one = k.size(1) == static_cast<int64_t>(kv_head.size());
  for (std::size_t h = 0; h < kv_head.size(); ++h) one_to_one &= kv_head[h] == static_cast<int64_t>(h);
  if (!one_to_one) {
    const Tensor heads = at::tensor(kv_head, at::TensorOptions().dtype(at::kLong)).to(k.device());
    k = k.index_select(1, heads);  // (B, H, S, D)
    v = v.index_select(1, heads);
  }
  const auto mask = visibility(row, layer, begin, begin + k.size(2), q.device());
  if (layer.key_block > 0) return attend_by_blocks(q, k, v, mask, layer.attention_scale, layer.key_block);
  return at::scaled_dot_product_attention(q, k, v, mask, 0.0, false, layer.attention_scale);
}

// x is the normed residual stream (B, T, C); the result is its update, (B, T, C).
Tensor AtenModel::attention(const Step& step, int64_t i, const Tensor& x, KVCache* cache) const {
  const GptConfig& c = config();
  const LayerWeights& w = w_.layers[i];
  const LayerPlan& layer = step.plan.layers[i];
  const int64_t B = x.size(0), T = x.size(1), H = c.n_head, G = c.n_kv_head, D = c.head_dim();

  const Tensor qk = norm(rotate(at::cat({linear(x, w.c_q), linear(x, w.c_k)}, 2).view({B, T, H + G, D}),
                                step.cos, step.sin));  // (B, T, H + G, D): both take the same way
  const Tensor q = qk.narrow(2, 0, H).mul_(layer.q_scale).transpose(1, 2);  // (B, H, T, D)
  Tensor k = qk.narrow(2, H, G).mul_(layer.k_scale).transpose(1, 2);        // (B, G, T, D)
  Tensor v = linear(x, w.c_v).view({B, T, G, D});
  if (c.has_value_embed(i)) {
    const Tensor gate = linear(x.narrow(2, 0, c.ve_gate_channels), w.ve_gate).sigmoid().mul_(c.ve_gate_scale);  // (B, T, G)
    v = v + gate.unsqueeze(3) * embedding(w.value_embed, step.ids).view({B, T, G, D});
  }
  v = v.transpose(1, 2);  // (B, G, T, D)
  tap(Stage::query, i, q);
  tap(Stage::key, i, k);
  tap(Stage::value, i, v);
  if (cache) {
    cache->write(i, k, v, step.plan);
    k = cache->keys(i);  // (B, G, capacity, D)
    v = cache->values(i);
  }

  Tensor y;  // (B, H, T, D)
  if (step.uniform && k.size(0) == B) {
    const int64_t begin = layer.key_begin[0], count = layer.key_end[0] - begin;
    y = attend(q, k.narrow(2, begin, count), v.narrow(2, begin, count), step.plan.rows[0], layer, begin, step.plan.kv_head);
  } else {
    y = at::zeros({B, H, T, D}, q.options());
    for (int64_t b = 0; b < B; ++b) {
      const RowPlan& row = step.plan.rows[b];
      const int64_t begin = layer.key_begin[b], count = layer.key_end[b] - begin;
      const auto row_of = [&](const Tensor& t) { return t.narrow(0, row.cache_row, 1).narrow(2, begin, count); };
      y.narrow(0, b, 1).narrow(2, 0, row.length)
          .copy_(attend(q.narrow(0, b, 1).narrow(2, 0, row.length), row_of(k), row_of(v), row, layer, begin, step.plan.kv_head));
    }
  }
  tap(Stage::attention, i, y);
  return linear(y.transpose(1, 2).reshape({B, T, H * D}), w.c_proj);  // (B, T, C)
}

// relu squared between two matrices, (B, T, C) to (B, T, C).
Tensor AtenModel::mlp(const LayerWeights& w, const Tensor& x) const {
  const Tensor hidden = linear(x, w.c_fc).relu_();  // (B, T, I)
  return linear(hidden * hidden, w.mlp_c_proj);
}

// The final norm's output (B, T, C) to logits, softcapped where there is one, (B, V) or (B, T, V), at least in float32.
Tensor AtenModel::head(const Step& step, const Tensor& x, LogitsAt at) const {
  Tensor chosen = x;
  if (at == LogitsAt::last) {
    std::vector<Tensor> rows;
    if (step.uniform) {
      chosen = x.select(1, x.size(1) - 1);  // (B, C)
    } else {
      for (int64_t b = 0; b < x.size(0); ++b) rows.push_back(x[b][step.plan.rows[b].length - 1]);
      chosen = at::stack(rows);  // (B, C)
    }
  }
  Tensor logits = linear(chosen, w_.lm_head);
  if (dtype() != at::kDouble) logits = logits.to(at::kFloat);
  if (config().softcap == 0) return logits;
  return logits.div_(config().softcap).tanh_().mul_(config().softcap);
}

Tensor AtenModel::execute(const StepPlan& plan, const TokenBatch& tokens, KVCache* cache, LogitsAt at) const {
  const GptConfig& c = config();
  const Step step = prepare(plan, tokens);
  Tensor x = embed(step, tokens);  // (B, T, C)
  tap(Stage::smear, 0, x);
  const Tensor x0 = x;
  Tensor middle;
  for (int64_t i = 0; i < c.n_layer; ++i) {
    const LayerWeights& w = w_.layers[i];
    if (c.has_lambdas) x = (x * w.resid_lambda).add_(x0, w.x0_lambda);
    x = x + attention(step, i, norm(x), cache);
    x = x + mlp(w, norm(x));
    tap(Stage::layer, i, x);
    if (c.has_backout && i == c.backout_layer()) middle = x;
  }
  if (c.has_backout) x = at::sub(x, middle, w_.backout_lambda);
  return head(step, norm(x), at);
}

}  // namespace

std::unique_ptr<Model> make_aten_model(const Checkpoint& checkpoint, at::ScalarType dtype, at::Device device,
                                       bool convert_weights) {
  const GptConfig config(checkpoint.dims, checkpoint.architecture);
  return std::make_unique<AtenModel>(config, load_weights(checkpoint, config, dtype, device, convert_weights ? Matrices::converted : Matrices::as_stored),
                                     make_rotary_tables(config, dtype, device), dtype, device);
}

}  // namespace kvproof
