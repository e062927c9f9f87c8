#include "engine/model/model.h"

#include <ATen/Context.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include "engine/error.h"
#include "engine/model/aten_model.h"
#include "engine/model/dtype.h"
#include "engine/model/native_model.h"

namespace kvproof {

at::ScalarType parse_dtype(const std::string& word) {
  if (word == "float64") return at::kDouble;
  if (word == "float32") return at::kFloat;
  if (word == "bfloat16") return at::kBFloat16;
  if (word == "float16") return at::kHalf;
  throw ArgumentError("dtype", fmt::format("unknown dtype \"{}\"; use auto, float32, bfloat16, float16 or float64", word));
}

std::string dtype_word(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble: return "float64";
    case at::kFloat: return "float32";
    case at::kBFloat16: return "bfloat16";
    case at::kHalf: return "float16";
    default: TORCH_CHECK(false, "no word for dtype ", dtype);
  }
}

namespace {

// With device and dtype known.
void resolve_backend(ModelOptions& options) {
  const bool native_can = options.device == "cpu" && options.dtype != "float16" && options.convert_weights;
  if (options.backend == "auto") options.backend = native_can ? "native" : "aten";
  if (options.backend != "native" || native_can) return;
  if (options.device != "cpu")
    throw ArgumentError("backend", fmt::format("native runs on the CPU only, not on {}; use aten, or device cpu", options.device));
  if (options.dtype == "float16")
    throw ArgumentError("backend", "native has float32, bfloat16 and float64; use aten for float16");
  throw ArgumentError("backend", "native converts weights once, when it loads them; use aten to convert them at each use");
}

}  // namespace

ModelOptions resolve_model_options(const ModelOptions& options) {
  ModelOptions resolved = options;
  const bool cuda = at::hasCUDA(), mps = at::hasMPS();
  if (resolved.backend != "auto" && resolved.backend != "native" && resolved.backend != "aten")
    throw ArgumentError("backend", fmt::format("unknown backend \"{}\"; use auto, native or aten", resolved.backend));
  if (resolved.device == "auto") resolved.device = cuda ? "cuda" : mps ? "mps" : "cpu";
  if (resolved.device != "cpu" && resolved.device != "cuda" && resolved.device != "mps")
    throw ArgumentError("device", fmt::format("unknown device \"{}\"; use auto, cpu, cuda or mps", resolved.device));
  if (resolved.device == "mps" && resolved.dtype == "float64")
    throw ArgumentError("dtype", "mps has no float64; use --device cpu");
  if ((resolved.device == "cuda" && !cuda) || (resolved.device == "mps" && !mps))
    throw ArgumentError("device", fmt::format("no {} device was found by this build of LibTorch; use --device cpu", resolved.device));
  if (resolved.dtype == "auto") resolved.dtype = resolved.device == "cuda" ? "bfloat16" : "float32";
  parse_dtype(resolved.dtype);  // an unknown word is refused here
  resolve_backend(resolved);
  return resolved;
}

const StepPlan& Model::filtered() const {
  if (plan_filter_) plan_ = plan_filter_(std::move(plan_));
  return plan_;
}

at::Tensor Model::forward(const TokenBatch& tokens, LogitsAt at) const {
  const c10::InferenceMode guard;
  plan_uncached(config_, tokens, plan_);
  return execute(filtered(), tokens, nullptr, at);
}

at::Tensor Model::forward(const TokenBatch& tokens, KVCache& cache, LogitsAt at) const {
  const c10::InferenceMode guard;
  plan_cached(config_, tokens, cache, plan_);
  const StepPlan& plan = filtered();
  at::Tensor logits = execute(plan, tokens, &cache, at);
  cache.advance(plan, tokens);
  return logits;
}

KVCache Model::new_cache(int64_t batch, int64_t capacity) const {
  KVCache cache(config_, batch, capacity, dtype_, device_);
  cache.set_hook(cache_hook_);
  return cache;
}

void Model::set_cache_hook(CacheHook hook) {
  cache_hook_ = hook ? std::make_shared<const CacheHook>(std::move(hook)) : nullptr;
}

void Model::synchronize() const {
  if (device_.is_cpu()) return;
  const c10::impl::VirtualGuardImpl guard(device_.type());
  guard.synchronizeDevice(device_.index());
}

std::unique_ptr<Model> make_model(const Checkpoint& checkpoint, const ModelOptions& options) {
  const ModelOptions resolved = resolve_model_options(options);
  const at::ScalarType dtype = parse_dtype(resolved.dtype);
  if (resolved.backend == "native") return make_native_model(checkpoint, dtype, resolved.pin);
  return make_aten_model(checkpoint, dtype, at::Device(resolved.device), resolved.convert_weights);
}

}  // namespace kvproof
