// The forward, as one would explain it: one position after the other, plain loops, every sum in double.
#include "harness/verify/oracle.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/error.h"

namespace kvproof {
namespace {

using Vector = std::vector<double>;

// --- weights ------------------------------------------------------------------------------------------------------

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t n : shape) text += (text.empty() ? "" : ", ") + std::to_string(n);
  return "(" + text + ")";
}

// rows_may_be_padded: more rows than asked for are fine, and never read.
OracleTensor weight(const OracleModel& model, const std::string& name, const std::vector<int64_t>& shape,
                    bool rows_may_be_padded = false) {
  OracleTensor tensor = model.tensor(name);
  std::vector<int64_t> found = tensor.shape;
  if (rows_may_be_padded && !found.empty()) found[0] = std::min(found[0], shape[0]);
  std::size_t elements = 1;
  for (const int64_t n : tensor.shape) elements *= static_cast<std::size_t>(n);
  if (found != shape || elements != tensor.values.size()) {
    throw CheckpointError("oracle: " + name, "expected shape " + shape_text(shape) + ", found " +
                                                 shape_text(tensor.shape) + " with " +
                                                 std::to_string(tensor.values.size()) + " values");
  }
  return tensor;
}

int64_t hidden_units(const OracleModel& model) { return model.n_inner > 0 ? model.n_inner : 4 * model.n_embd; }

std::string in_layer(int64_t layer, const std::string& name) {
  return "transformer.h." + std::to_string(layer) + "." + name;
}

// --- small arithmetic ---------------------------------------------------------------------------------------------

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// Four sums side by side: one alone would wait for each of its additions.
double dot(const double* a, const double* b, int64_t n) {
  double sums[4] = {0, 0, 0, 0};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (int64_t j = 0; j < 4; ++j) sums[j] += a[i + j] * b[i + j];
  }
  for (; i < n; ++i) sums[0] += a[i] * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// weight (out, in) times x (in); rows past `out` are padding.
Vector product(const OracleTensor& weight, const Vector& x, int64_t out) {
  const auto in = static_cast<int64_t>(x.size());
  Vector y(static_cast<std::size_t>(out));
  for (int64_t o = 0; o < out; ++o) y[o] = dot(&weight.values[o * in], x.data(), in);
  return y;
}

Vector product(const OracleTensor& weight, const Vector& x) { return product(weight, x, weight.shape[0]); }

// x / sqrt(mean(x²) + eps), in place.
void normalize(double* x, int64_t n, double eps) {
  const double factor = 1 / std::sqrt(dot(x, x, n) / static_cast<double>(n) + eps);
  for (int64_t i = 0; i < n; ++i) x[i] *= factor;
}

Vector normalized(Vector x, double eps) {
  normalize(x.data(), static_cast<int64_t>(x.size()), eps);
  return x;
}

Vector row(const OracleTensor& matrix, int64_t i) {
  const int64_t n = matrix.shape[1];
  return {matrix.values.begin() + i * n, matrix.values.begin() + (i + 1) * n};
}

// --- rotary embedding ---------------------------------------------------------------------------------------------

// The nearest number with so many significant bits, ties to even. Exponents are not limited: a cosine or sine small
// enough to be subnormal does not occur.
double round_to_bits(double x, int bits) {
  int exponent = 0;
  std::frexp(x, &exponent);  // |x| in [0.5, 1) · 2^exponent
  const double unit = std::ldexp(1.0, exponent - bits);
  return std::nearbyint(x / unit) * unit;
}

double rounded_to_table(float x, const std::string& dtype) {
  if (dtype == "bfloat16") return round_to_bits(x, 8);
  if (dtype == "float16") return round_to_bits(x, 11);
  return x;
}

// float32 throughout and in this order: 1 / base^(2i/D), times the position. pow is taken in double and rounded once.
float angle_of(const OracleConstants& c, int64_t position, int64_t channel, int64_t head_dim) {
  const float exponent = static_cast<float>(2 * channel) / static_cast<float>(head_dim);
  const float power = static_cast<float>(std::pow(static_cast<double>(static_cast<float>(c.rope_base)), exponent));
  const float inv_freq = 1.0F / power;
  return static_cast<float>(position) * inv_freq;
}

// The tables with their cosines and sines, and their angles relatively, moved by so many of float32's last bits.
OracleRotary make_rotary(const OracleConstants& c, int64_t first_position, int64_t positions, int64_t head_dim,
                         double last_bits) {
  OracleRotary rotary{.half = head_dim / 2, .cosine = {}, .sine = {}};
  for (int64_t t = first_position; t < first_position + positions; ++t) {
    for (int64_t i = 0; i < rotary.half; ++i) {
      const double angle = angle_of(c, t, i, head_dim);
      const double shift = last_bits * std::ldexp(1.0, -23) * (angle + 1);  // neither function is steeper than 1
      const auto cosine = static_cast<float>(std::cos(angle) + shift),
                 sine = static_cast<float>(std::sin(angle) + shift);
      rotary.cosine.push_back(rounded_to_table(cosine, c.rope_table_dtype));
      rotary.sine.push_back(rounded_to_table(sine, c.rope_table_dtype));
    }
  }
  return rotary;
}

// Turns, norms and scales one head (D) of a query or key at position t, in place.
void position_head(double* head, const OracleRotary& rotary, int64_t t, const OracleConstants& c) {
  for (int64_t i = 0; i < rotary.half; ++i) {
    const double cosine = rotary.cosine[t * rotary.half + i], sine = rotary.sine[t * rotary.half + i];
    const double first = head[i], second = head[i + rotary.half];
    head[i] = first * cosine + second * sine;
    head[i + rotary.half] = -first * sine + second * cosine;
  }
  normalize(head, 2 * rotary.half, c.norm_eps);
  for (int64_t i = 0; i < 2 * rotary.half; ++i) head[i] *= c.qk_scale;
}

// --- the forward --------------------------------------------------------------------------------------------------

// One run: sizes, constants and tables that every part needs, and the residual stream they all change.
struct Forward {
  const OracleModel& model;
  const OracleConstants& c;
  const std::vector<int32_t>& ids;
  int64_t T, H, G, D, C;  // tokens, query heads, kv heads, head dim, channels
  OracleRotary rotary;
  std::vector<Vector> x;  // (T, C)

  Forward(const OracleModel& m, const OracleConstants& constants, const std::vector<int32_t>& tokens)
      : model(m), c(constants), ids(tokens), T(static_cast<int64_t>(tokens.size())), H(m.n_head), G(m.n_kv_head),
        D(m.n_embd / m.n_head), C(m.n_embd), rotary(c.rotary ? *c.rotary : oracle_rotary(c, 0, T, D)) {}

  void embed();
  void smear();
  void attention(int64_t layer, OracleLayer* out);
  void add_value_embedding(int64_t layer, const std::vector<Vector>& h, Vector* v) const;
  Vector attend(const Vector& q, const OracleLayer& cached, int64_t t, std::optional<int64_t> window) const;
  void mlp(int64_t layer);
};

void Forward::embed() {
  const OracleTensor wte = weight(model, "transformer.wte.weight", {model.vocab_size, C}, true);
  for (const int32_t id : ids) x.push_back(normalized(row(wte, id), c.norm_eps));
  if (c.smear_channels > 0) smear();
}

// Every position takes a gated share of its predecessor, as that was before it took one itself.
void Forward::smear() {
  const OracleTensor gate = weight(model, "smear_gate.weight", {1, c.smear_channels});
  const double lambda = weight(model, "smear_lambda", {1}).values[0];
  const std::vector<Vector> before = x;
  for (int64_t t = 1; t < T; ++t) {
    const double g = lambda * sigmoid(dot(before[t].data(), gate.values.data(), c.smear_channels));
    for (int64_t i = 0; i < C; ++i) x[t][i] += g * before[t - 1][i];
  }
}

// Every other layer, the last one among them, adds an embedding of the token to its values, gated per kv head.
void Forward::add_value_embedding(int64_t layer, const std::vector<Vector>& h, Vector* v) const {
  if (c.ve_gate_channels == 0 || layer % 2 != (model.n_layer - 1) % 2) return;
  const OracleTensor gates = weight(model, in_layer(layer, "attn.ve_gate.weight"), {G, c.ve_gate_channels});
  const OracleTensor embeds =
      weight(model, "value_embeds." + std::to_string(layer) + ".weight", {model.vocab_size, G * D}, true);
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t g = 0; g < G; ++g) {
      const double* gate_row = &gates.values[g * c.ve_gate_channels];
      const double gate = c.ve_gate_scale * sigmoid(dot(h[t].data(), gate_row, c.ve_gate_channels));
      for (int64_t d = 0; d < D; ++d) (*v)[(t * G + g) * D + d] += gate * embeds.values[(ids[t] * G + g) * D + d];
    }
  }
}

// The heads' outputs (C) at position t: softmax over the keys from t − window to t.
Vector Forward::attend(const Vector& q, const OracleLayer& cached, int64_t t, std::optional<int64_t> window) const {
  const int64_t first = window ? std::max<int64_t>(0, t - *window) : 0;
  Vector y(static_cast<std::size_t>(C), 0.0);
  for (int64_t head = 0; head < H; ++head) {
    const int64_t g = head / (H / G);
    Vector scores;
    for (int64_t s = first; s <= t; ++s)
      scores.push_back(dot(&q[head * D], &cached.k[(s * G + g) * D], D) / std::sqrt(static_cast<double>(D)));
    const double highest = *std::max_element(scores.begin(), scores.end());
    double sum = 0;
    for (double& score : scores) sum += score = std::exp(score - highest);
    for (int64_t s = first; s <= t; ++s) {
      const double share = scores[s - first] / sum;
      for (int64_t d = 0; d < D; ++d) y[head * D + d] += share * cached.v[(s * G + g) * D + d];
    }
  }
  return y;
}

void Forward::attention(int64_t layer, OracleLayer* out) {
  const OracleTensor c_q = weight(model, in_layer(layer, "attn.c_q.weight"), {H * D, C});
  const OracleTensor c_k = weight(model, in_layer(layer, "attn.c_k.weight"), {G * D, C});
  const OracleTensor c_v = weight(model, in_layer(layer, "attn.c_v.weight"), {G * D, C});
  const OracleTensor c_proj = weight(model, in_layer(layer, "attn.c_proj.weight"), {C, H * D});

  std::vector<Vector> h, queries;  // (T, C), (T, H·D)
  for (int64_t t = 0; t < T; ++t) {
    h.push_back(normalized(x[t], c.norm_eps));
    Vector q = product(c_q, h[t]), k = product(c_k, h[t]);
    const Vector v = product(c_v, h[t]);
    for (int64_t head = 0; head < H; ++head) position_head(&q[head * D], rotary, t, c);
    for (int64_t g = 0; g < G; ++g) position_head(&k[g * D], rotary, t, c);
    queries.push_back(std::move(q));
    out->k.insert(out->k.end(), k.begin(), k.end());
    out->v.insert(out->v.end(), v.begin(), v.end());
  }
  add_value_embedding(layer, h, &out->v);

  for (int64_t t = 0; t < T; ++t) {
    const Vector y = attend(queries[t], *out, t, c.windows[layer]);
    out->attention.insert(out->attention.end(), y.begin(), y.end());
    const Vector update = product(c_proj, y);
    for (int64_t i = 0; i < C; ++i) x[t][i] += update[i];
  }
}

void Forward::mlp(int64_t layer) {
  const int64_t units = hidden_units(model);
  const OracleTensor c_fc = weight(model, in_layer(layer, "mlp.c_fc.weight"), {units, C});
  const OracleTensor c_proj = weight(model, in_layer(layer, "mlp.c_proj.weight"), {C, units});
  for (Vector& at : x) {
    Vector hidden = product(c_fc, normalized(at, c.norm_eps));
    for (double& value : hidden) value = value < 0 ? 0 : value * value;  // NaN stays NaN
    const Vector update = product(c_proj, hidden);
    for (int64_t i = 0; i < C; ++i) at[i] += update[i];
  }
}

Vector flat(const std::vector<Vector>& rows) {
  Vector all;
  for (const Vector& row : rows) all.insert(all.end(), row.begin(), row.end());
  return all;
}

void check_constants(const OracleModel& model, const OracleConstants& c, int64_t tokens) {
  if (static_cast<int64_t>(c.windows.size()) != model.n_layer) {
    throw ArgumentError("oracle.windows", "expected one per layer, " + std::to_string(model.n_layer) + ", found " +
                                              std::to_string(c.windows.size()));
  }
  if (c.rotary) {
    const int64_t half = model.n_embd / model.n_head / 2;
    const auto entries = static_cast<std::size_t>(tokens * half);
    if (c.rotary->half != half || c.rotary->cosine.size() < entries || c.rotary->sine.size() < entries) {
      throw ArgumentError("oracle.rotary", "expected tables of " + std::to_string(tokens) + " positions and " +
                                               std::to_string(half) + " channels, found " +
                                               std::to_string(c.rotary->cosine.size()) + " entries and " +
                                               std::to_string(c.rotary->half) + " channels");
    }
  }
  const int64_t channels = std::max(c.smear_channels, c.ve_gate_channels);
  if (channels > model.n_embd) {
    throw ArgumentError("oracle.n_embd", "expected at least " + std::to_string(channels) +
                                             ", the channels that this generation's gates read, found " +
                                             std::to_string(model.n_embd));
  }
}

void check_request(const OracleModel& model, const std::vector<int32_t>& ids,
                   const std::vector<int64_t>& logit_positions) {
  const auto tokens = static_cast<int64_t>(ids.size());
  if (tokens == 0) throw ArgumentError("oracle.ids", "expected at least one token, found none");
  if (tokens > 10 * model.sequence_len) {
    throw CapacityError("oracle.ids", "expected at most " + std::to_string(10 * model.sequence_len) +
                                          " tokens (10 * sequence_len), found " + std::to_string(tokens));
  }
  for (const int32_t id : ids) {
    if (id < 0 || id >= model.vocab_size)
      throw ArgumentError("oracle.ids", "expected ids below vocab_size " + std::to_string(model.vocab_size) +
                                            ", found " + std::to_string(id));
  }
  for (const int64_t position : logit_positions) {
    if (position < 0 || position >= tokens)
      throw ArgumentError("oracle.logit_positions",
                          "expected positions below " + std::to_string(tokens) + ", found " + std::to_string(position));
  }
}

}  // namespace

OracleTrace run_oracle(const OracleModel& model, const OracleConstants& constants, const std::vector<int32_t>& ids,
                       const std::vector<int64_t>& logit_positions) {
  check_constants(model, constants, static_cast<int64_t>(ids.size()));
  check_request(model, ids, logit_positions);
  Forward forward(model, constants, ids);
  OracleTrace trace{.positions = logit_positions, .logits = {}, .embedded = {}, .layers = {}};

  forward.embed();
  const std::vector<Vector> x0 = forward.x;
  trace.embedded = flat(x0);
  OracleTensor resid_lambdas, x0_lambdas;
  if (constants.has_lambdas) {
    resid_lambdas = weight(model, "resid_lambdas", {model.n_layer});
    x0_lambdas = weight(model, "x0_lambdas", {model.n_layer});
  }

  std::vector<Vector> x_mid;
  for (int64_t layer = 0; layer < model.n_layer; ++layer) {
    if (constants.has_lambdas) {
      for (int64_t t = 0; t < forward.T; ++t) {
        for (int64_t i = 0; i < forward.C; ++i)
          forward.x[t][i] = resid_lambdas.values[layer] * forward.x[t][i] + x0_lambdas.values[layer] * x0[t][i];
      }
    }
    OracleLayer out;
    forward.attention(layer, &out);
    forward.mlp(layer);
    out.residual = flat(forward.x);
    trace.layers.push_back(std::move(out));
    if (layer == constants.backout_layer) x_mid = forward.x;
  }

  const OracleTensor lm_head = weight(model, "lm_head.weight", {model.vocab_size, forward.C}, true);
  const double backout = constants.has_backout ? weight(model, "backout_lambda", {1}).values[0] : 0;
  for (const int64_t t : logit_positions) {
    Vector last = forward.x[t];
    if (constants.has_backout) {
      for (int64_t i = 0; i < forward.C; ++i) last[i] -= backout * x_mid[t][i];
    }
    Vector logits = product(lm_head, normalized(last, constants.norm_eps), model.vocab_size);
    if (constants.softcap > 0) {
      for (double& logit : logits) logit = constants.softcap * std::tanh(logit / constants.softcap);
    }
    trace.logits.push_back(std::move(logits));
  }
  return trace;
}

OracleTrace run_oracle(const OracleModel& model, const std::vector<int32_t>& ids,
                       const std::vector<int64_t>& logit_positions) {
  return run_oracle(model, oracle_constants(model), ids, logit_positions);
}

OracleRotary oracle_rotary(const OracleConstants& constants, int64_t first_position, int64_t positions,
                           int64_t head_dim) {
  return make_rotary(constants, first_position, positions, head_dim, 0);
}

OracleRotaryBounds oracle_rotary_bounds(const OracleConstants& constants, int64_t first_position, int64_t positions,
                                        int64_t head_dim, double last_bits) {
  return {make_rotary(constants, first_position, positions, head_dim, -last_bits),
          make_rotary(constants, first_position, positions, head_dim, last_bits)};
}

double oracle_flops(const OracleModel& model, int64_t tokens, int64_t logit_positions) {
  const OracleConstants constants = oracle_constants(model);
  const auto T = static_cast<double>(tokens), C = static_cast<double>(model.n_embd);
  const auto units = static_cast<double>(hidden_units(model));
  const double kv_channels = C / static_cast<double>(model.n_head) * static_cast<double>(model.n_kv_head);
  double flops = 2 * static_cast<double>(logit_positions) * C * static_cast<double>(model.vocab_size);
  for (const auto& window : constants.windows) {
    const double matrices = 2 * C * C + 2 * C * kv_channels + 2 * C * units;  // q and proj, k and v, mlp
    // Query t has min(t, window) + 1 keys: a triangle, then a band.
    const double reach = window ? std::min(static_cast<double>(*window), T) : T;
    const double pairs = reach * (reach + 1) / 2 + (T - reach) * (reach + 1);
    flops += 2 * T * matrices + 4 * pairs * C;
  }
  return flops;
}

}  // namespace kvproof
