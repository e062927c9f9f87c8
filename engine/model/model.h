// The interface every backend implements: a forward without a cache, and one with.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>

#include "engine/checkpoint/checkpoint.h"
#include "engine/model/gpt_config.h"
#include "engine/model/kv_cache.h"
#include "engine/model/stage.h"
#include "engine/model/step_plan.h"
#include "engine/model/threads.h"

namespace kvproof {

/// What to build a model with. "auto" is resolved by resolve_model_options.
struct ModelOptions {
  std::string backend = "auto";  // auto (native where it can) | native (cpu; not float16) | aten
  std::string dtype = "auto";    // auto (float32 on cpu and mps, bfloat16 on cuda) | float32 | bfloat16 | float16 | float64
  std::string device = "auto";   // auto (cuda, else mps, else cpu) | cpu | cuda | mps
  bool convert_weights = true;   // false: weights stay as stored and are converted at each use: little memory, much time; aten
  bool pin = false;              // native: bind its threads to CPUs
};

/// The options with every "auto" replaced. throws ArgumentError: an unknown word, a device that is not there,
/// float64 on mps (names --device cpu), native where it cannot
ModelOptions resolve_model_options(const ModelOptions& options);

/// Not for several threads at a time: forwards share what they compute in.
class Model {
 public:
  virtual ~Model() = default;

  const GptConfig& config() const { return config_; }
  at::ScalarType dtype() const { return dtype_; }
  at::Device device() const { return device_; }
  /// The word of ModelOptions that chooses this code.
  virtual std::string backend() const = 0;

  /// Full recompute. Positions past a row's length are ignored.
  /// returns  last: (B, V), each row's last counted position; all: (B, T, V). float64 for float64 models, else float32,
  ///          on the model's device
  /// throws   ArgumentError, CapacityError, before any work
  at::Tensor forward(const TokenBatch& tokens, LogitsAt at) const;

  /// Appends T tokens per row to the cache and returns their logits, as above. Rows may stand at different positions.
  /// throws ArgumentError, CapacityError; the cache is then unchanged
  at::Tensor forward(const TokenBatch& tokens, KVCache& cache, LogitsAt at) const;

  KVCache new_cache(int64_t batch, int64_t capacity) const;

  /// Returns when everything queued on the device has run. Free on a CPU.
  void synchronize() const;

  // Seams for verification, empty by default; an empty one costs a comparison with null.
  using PlanFilter = std::function<StepPlan(StepPlan)>;
  using StageTap = std::function<void(Stage stage, int64_t layer, const at::Tensor& values)>;
  /// Every plan passes through it before it is executed.
  void set_plan_filter(PlanFilter filter) { plan_filter_ = std::move(filter); }
  const PlanFilter& plan_filter() const { return plan_filter_; }
  /// Is shown each stage's values (see stage.h for shapes) as a forward reaches it; layer 0 for embed and smear. Padded
  /// positions hold anything. The tensors must not be changed. const: looking does not change a model
  void set_stage_tap(StageTap tap) const { stage_tap_ = std::move(tap); }
  /// Is called by every cache made from now on, and by its clones, after each of their operations.
  void set_cache_hook(CacheHook hook);

 protected:
  Model(const GptConfig& config, at::ScalarType dtype, at::Device device)
      : config_(config), dtype_(dtype), device_(device) {}

  /// Runs a plan. cache is null for an uncached forward; else keys and values are written, lengths not moved.
  virtual at::Tensor execute(const StepPlan& plan, const TokenBatch& tokens, KVCache* cache, LogitsAt at) const = 0;

  /// For execute() to show a stage's values with.
  void tap(Stage stage, int64_t layer, const at::Tensor& values) const {
    if (stage_tap_) stage_tap_(stage, layer, values);
  }
  /// The tap itself; null where nobody looks.
  const StageTap* tap_or_null() const { return stage_tap_ ? &stage_tap_ : nullptr; }

 private:
  const StepPlan& filtered() const;

  GptConfig config_;
  at::ScalarType dtype_;
  at::Device device_;
  mutable StepPlan plan_;  // of the current forward
  PlanFilter plan_filter_;
  mutable StageTap stage_tap_;
  std::shared_ptr<const CacheHook> cache_hook_;
};

/// Builds a model of a checkpoint. native copies the matrices into memory of its own; aten leaves those already of the wanted
/// dtype mapped and converts others once (see ModelOptions::convert_weights).
/// throws ArgumentError (options), CheckpointError
std::unique_ptr<Model> make_model(const Checkpoint& checkpoint, const ModelOptions& options = {});

}  // namespace kvproof
