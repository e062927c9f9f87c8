#include "engine/model/native_model.h"

#include <ATen/ATen.h>

#include <array>
#include <memory>
#include <utility>

#include "engine/kernels/bfloat16.h"
#include "engine/model/native_types.h"
#include "engine/model/native_walk.h"

namespace kvproof {
namespace {

using kernels::ThreadTeam;

// W: what weights, keys and values are stored in; X: what is computed in.
template <typename W, typename X>
class NativeModel final : public Model {
 public:
  NativeModel(const GptConfig& config, GptWeights weights, at::ScalarType dtype, bool pin)
      : Model(config, dtype, at::kCPU), weights_(std::move(weights), make_rotary_tables(config, dtype, at::kCPU)),
        pin_(pin) {}

  std::string backend() const override { return "native"; }

 protected:
  at::Tensor execute(const StepPlan& plan, const TokenBatch& tokens, KVCache* cache, LogitsAt at) const override;

 private:
  KVCache::Storage keys_and_values(const StepPlan& plan, KVCache* cache) const;
  at::Tensor new_logits(const StepPlan& plan, LogitsAt at) const;
  ThreadTeam& team() const;

  native::Weights<W, X> weights_;
  bool pin_;
  OneLibtorchThread one_libtorch_thread_;  // after the weights: these are converted by all threads
  mutable std::unique_ptr<ThreadTeam> team_;
  mutable native::Workspace<W, X> work_;
  mutable std::array<at::Tensor, 2> last_logits_;
};

// Of as many threads as the process allows now.
template <typename W, typename X>
ThreadTeam& NativeModel<W, X>::team() const {
  const int threads = set_threads(0);
  if (!team_ || team_->size() != threads) {
    team_.reset();
    team_ = std::make_unique<ThreadTeam>(threads, pin_);
  }
  return *team_;
}

// Where the plan's slots are: in the cache, or in memory of this forward.
template <typename W, typename X>
KVCache::Storage NativeModel<W, X>::keys_and_values(const StepPlan& plan, KVCache* cache) const {
  const int64_t G = config().n_kv_head, D = config().head_dim();
  if (cache) cache->check_slots(plan);
  const int64_t slots = cache ? cache->capacity() : plan.length;
  for (int64_t b = 0; b < plan.batch; ++b) {
    const RowPlan& row = plan.rows[b];
    TORCH_CHECK(row.write_at >= 0 && row.write_at + row.length <= slots && row.position >= 0 &&
                    row.position + row.length <= config().rotary_len(),
                "plan: row ", b, " is at position ", row.position, ", slot ", row.write_at, " of ", slots);
    for (const LayerPlan& layer : plan.layers)
      TORCH_CHECK(layer.key_begin[b] >= 0 && layer.key_end[b] <= slots, "plan: row ", b, " reads slots [",
                  layer.key_begin[b], ", ", layer.key_end[b], ") of ", slots);
  }
  if (cache) return cache->storage();
  work_.keys.need(plan.batch * G * slots * D);
  work_.values.need(plan.batch * G * slots * D);
  return {work_.keys.data(), work_.values.data(), /*layer=*/0, G * slots * D, slots * D, D};
}

// A decode step's logits are written where those of an earlier one were, if nobody holds these any more.
template <typename W, typename X>
at::Tensor NativeModel<W, X>::new_logits(const StepPlan& plan, LogitsAt at) const {
  const int64_t V = config().vocab_size;
  constexpr at::ScalarType kType = native::scalar_type<X>();
  if (at == LogitsAt::all) return at::empty({plan.batch, plan.length, V}, kType);
  for (const at::Tensor& old : last_logits_)
    if (old.defined() && old.size(0) == plan.batch && old.use_count() == 1 && old.storage().use_count() == 1)
      return old;
  at::Tensor logits = at::empty({plan.batch, V}, kType);
  last_logits_[0] = std::exchange(last_logits_[1], logits);
  return logits;
}

template <typename W, typename X>
at::Tensor NativeModel<W, X>::execute(const StepPlan& plan, const TokenBatch& tokens, KVCache* cache,
                                      LogitsAt at) const {
  const KVCache::Storage kv = keys_and_values(plan, cache);
  at::Tensor logits = new_logits(plan, at);
  ThreadTeam& team = this->team();
  const native::Walk<W, X> walk({config(), weights_, plan, tokens, kv, cache ? cache->capacity() : plan.length, at,
                                 static_cast<X*>(logits.data_ptr()), work_, team.size(), tap_or_null()});
  team.run(walk);
  return logits;
}

}  // namespace

std::unique_ptr<Model> make_native_model(const Checkpoint& checkpoint, at::ScalarType dtype, bool pin) {
  const GptConfig config(checkpoint.dims, checkpoint.architecture);
  GptWeights weights = load_weights(checkpoint, config, dtype, at::kCPU, Matrices::own);
  switch (dtype) {
    case at::kFloat:
      return std::make_unique<NativeModel<float, float>>(config, std::move(weights), dtype, pin);
    case at::kDouble:
      return std::make_unique<NativeModel<double, double>>(config, std::move(weights), dtype, pin);
    case at::kBFloat16:
      return std::make_unique<NativeModel<kernels::Bfloat16, float>>(config, std::move(weights), dtype, pin);
    default:
      TORCH_CHECK(false, "native model: no code for dtype ", dtype);
  }
}

}  // namespace kvproof
