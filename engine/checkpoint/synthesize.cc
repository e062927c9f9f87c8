// Checkpoints out of a spec: weights from a counter-based generator of our own.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/checkpoint/checkpoint.h"
#include "engine/checkpoint/text.h"
#include "engine/error.h"
#include "engine/splitmix.h"

namespace kvproof {
namespace {

constexpr const char* kPlace = "synthetic";
constexpr int64_t kHeadDim = 128;        // nanochat's default
constexpr double kMaxParameters = 2e10;  // 80 GB in float32: more is a slip of the keyboard
constexpr const char* kFields =
    "sequence_len, vocab_size, n_layer, n_head, n_kv_head, n_embd, window_pattern, generation, seed, dtype";

[[noreturn]] void fail(const std::string& message) { throw ArgumentError(kPlace, message); }

// --- the spec -----------------------------------------------------------------------------------------------------

struct Spec {
  ModelDims dims;
  std::string generation = "head";
  uint64_t seed = 0;
  at::ScalarType dtype = at::kFloat;
};

int64_t parse_integer(const std::string& key, const std::string& text) {
  const bool digits = !text.empty() && text.size() <= 18 && text.find_first_not_of("0123456789") == std::string::npos;
  if (!digits) fail(fmt::format("{}: expected an integer of at least 0, found {}", key, quote(text)));
  return std::stoll(text);
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

std::map<std::string, std::string> parse_fields(const std::vector<std::string>& parts) {
  static const auto known = split(kFields, ',');
  std::map<std::string, std::string> fields;
  for (size_t i = 1; i < parts.size(); ++i) {
    const auto equals = parts[i].find('=');
    const std::string key = parts[i].substr(0, equals);
    const bool is_known =
        std::any_of(known.begin(), known.end(), [&](const auto& k) { return k == key || k == " " + key; });
    if (equals == std::string::npos || !is_known)
      fail(fmt::format("expected field=value with one of {}, found {}", kFields, quote(parts[i])));
    if (!fields.emplace(key, parts[i].substr(equals + 1)).second) fail(fmt::format("{} is given twice", key));
  }
  return fields;
}

// nanochat's sizes at depth n: 64 channels per layer, rounded up to whole heads of 128.
ModelDims dims_of_depth(int64_t n) {
  ModelDims dims;
  dims.sequence_len = 2048;
  dims.vocab_size = 32768;
  dims.n_layer = n;
  dims.n_embd = (64 * n + kHeadDim - 1) / kHeadDim * kHeadDim;
  dims.n_head = dims.n_kv_head = dims.n_embd / kHeadDim;
  return dims;
}

Spec parse_spec(const std::string& text) {
  const auto parts = split(text, ',');
  if (parts[0].size() < 2 || parts[0].size() > 5 || parts[0][0] != 'd') {
    fail(fmt::format("expected d<layers>, perhaps with fields, as in d4,vocab_size=2048; found {}", quote(text)));
  }
  Spec spec;
  spec.dims = dims_of_depth(parse_integer("d<layers>", parts[0].substr(1)));
  const auto fields = parse_fields(parts);
  const auto get = [&](const char* key) {
    const auto found = fields.find(key);
    return found == fields.end() ? std::nullopt : std::optional(found->second);
  };
  for (const auto& [key, field] : {std::pair{"sequence_len", &ModelDims::sequence_len},
                                   {"vocab_size", &ModelDims::vocab_size},
                                   {"n_layer", &ModelDims::n_layer},
                                   {"n_embd", &ModelDims::n_embd}}) {
    if (const auto value = get(key)) spec.dims.*field = parse_integer(key, *value);
  }
  if (const auto value = get("n_head")) spec.dims.n_head = spec.dims.n_kv_head = parse_integer("n_head", *value);
  if (const auto value = get("n_kv_head")) spec.dims.n_kv_head = parse_integer("n_kv_head", *value);
  if (const auto value = get("seed")) spec.seed = static_cast<uint64_t>(parse_integer("seed", *value));
  spec.generation = get("generation").value_or("head");
  const bool has_windows = spec.generation.rfind("2025", 0) != 0;
  const auto pattern = get("window_pattern").value_or(has_windows ? "SSSL" : "none");
  if (pattern != "none") spec.dims.window_pattern = pattern;

  const std::map<std::string, at::ScalarType> dtypes = {
      {"float32", at::kFloat}, {"bfloat16", at::kBFloat16}, {"float16", at::kHalf}};
  const auto dtype = dtypes.find(get("dtype").value_or("float32"));
  if (dtype == dtypes.end())
    fail(fmt::format("dtype: expected float32, bfloat16 or float16, found {}", quote(*get("dtype"))));
  spec.dtype = dtype->second;
  return spec;
}

// --- the weights --------------------------------------------------------------------------------------------------

// Where a tensor's numbers begin: FNV-1a over its name, mixed with the seed.
uint64_t stream_of(const std::string& name, uint64_t seed) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return mix_bits(hash + mix_bits(seed + kGoldenGamma));
}

// Uniform in center ± spread. Each element is a pure function of (stream, index), exact up to one rounding, so that no
// machine or compiler gives others.
template <class T>
void fill(T* to, int64_t n, uint64_t stream, float center, float spread) {
  for (int64_t i = 0; i < n; ++i) {
    const uint64_t pair = mix_bits(stream + (static_cast<uint64_t>(i) / 2 + 1) * kGoldenGamma);
    const auto bits = static_cast<int32_t>(static_cast<uint32_t>(i % 2 == 0 ? pair : pair >> 32));
    const float unit = static_cast<float>(bits >> 8) * 0x1p-23f;  // 24 bits: exact, in [-1, 1)
    to[i] = static_cast<T>(center == 0 ? unit * spread : std::fma(unit, spread, center));
  }
}

struct Range {
  double center, spread;
};

// Bounds that keep every part alive: matrices keep the variance (uniform ± sqrt(3 / fan_in) has variance 1 / fan_in),
// logits get a standard deviation of 3, which the softcap of 15 bends only at the top; gates see sums of about 1.4.
Range range_of(const std::string& name, const std::vector<int64_t>& shape) {
  const auto ends_with = [&](std::string_view end) {
    return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
  };
  if (name == "resid_lambdas") return {1, 0.1};
  if (name == "x0_lambdas") return {0.2, 0.1};
  if (name == "smear_lambda") return {0.5, 0.05};
  if (name == "backout_lambda") return {0.2, 0.02};
  if (name == "smear_gate.weight" || ends_with("ve_gate.weight"))
    return {0, 2.4 / std::sqrt(static_cast<double>(shape[1]))};
  if (ends_with("wte.weight") || name.rfind("value_embeds.", 0) == 0) return {0, std::sqrt(3.0)};
  return {0, (name == "lm_head.weight" ? 3 : 1) * std::sqrt(3.0 / static_cast<double>(shape[1]))};
}

at::Tensor make_tensor(const std::string& name, const std::vector<int64_t>& shape, const Spec& spec) {
  const at::ScalarType dtype = shape.size() == 2 ? spec.dtype : at::kFloat;
  at::Tensor tensor = at::empty(shape, dtype);
  const auto [center, spread] = range_of(name, shape);
  const auto fill_as = [&](auto* to) {
    fill(to, tensor.numel(), stream_of(name, spec.seed), static_cast<float>(center), static_cast<float>(spread));
  };
  if (dtype == at::kFloat) fill_as(static_cast<float*>(tensor.mutable_data_ptr()));
  if (dtype == at::kBFloat16) fill_as(static_cast<at::BFloat16*>(tensor.mutable_data_ptr()));
  if (dtype == at::kHalf) fill_as(static_cast<at::Half*>(tensor.mutable_data_ptr()));
  return tensor;
}

StateDict make_tensors(const Spec& spec) {
  // The vocabulary's rows are padded as the code of the time had it; their numbers must not matter.
  ModelDims padded = spec.dims;
  if (spec.generation != "2025-10") padded.vocab_size = (padded.vocab_size + 63) / 64 * 64;
  const auto shapes = expected_tensors(architecture_of(spec.generation, spec.dims), padded);
  double parameters = 0;
  for (const auto& [name, shape] : shapes) {
    parameters += static_cast<double>(shape[0]) * static_cast<double>(shape.size() == 2 ? shape[1] : 1);
  }
  if (parameters > kMaxParameters)
    fail(fmt::format("{:.3g} parameters, more than the {:.3g} allowed", parameters, kMaxParameters));
  StateDict tensors;
  for (const auto& [name, shape] : shapes) tensors[name] = make_tensor(name, shape, spec);
  return tensors;
}

}  // namespace

Checkpoint synthesize_checkpoint(const std::string& text, const ArchitectureOverrides& overrides) {
  Spec spec = parse_spec(text);
  ArchitectureOverrides named = overrides;
  spec.generation = named.emplace("generation", spec.generation).first->second;
  Checkpoint checkpoint;
  try {
    check_dims(spec.dims, kPlace);
    checkpoint.tensors = make_tensors(spec);
    checkpoint.architecture = infer_architecture(spec.dims, checkpoint.tensors, kPlace, named, nullptr);
  } catch (const CheckpointError& error) {  // sizes that no checkpoint could have: here the spec's fault
    constexpr std::string_view kPrefix = "model_config.";
    const bool prefixed = error.message().rfind(kPrefix, 0) == 0;
    fail(error.message().substr(prefixed ? kPrefix.size() : 0));
  }
  checkpoint.name = text;
  checkpoint.dims = spec.dims;
  checkpoint.inference.reason = "synthetic, as the spec asks";
  return checkpoint;
}

}  // namespace kvproof
