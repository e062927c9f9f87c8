#include "harness/verify/verdict/own_engine.h"

#include <ATen/core/Tensor.h>

#include <utility>

namespace kvproof {
namespace {

// Beyond so much in float64 (500 million elements; a d20 has 435), matrices are converted at each use, one at a time.
constexpr int64_t kMostConverted = int64_t{4} << 30;

// By the code under test where that can.
std::unique_ptr<Model> make_float64(const Checkpoint& checkpoint, const std::string& backend, const std::string& device) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    const bool table =
        name.find("wte") != std::string::npos || name.rfind("value_embeds.", 0) == 0;  // stays as it is stored
    if (!table) bytes += 8 * tensor.numel();
  }
  const bool convert = bytes <= kMostConverted;
  return make_model(checkpoint, {convert ? backend : "aten", "float64", device, convert});
}

}  // namespace

OwnEngine::OwnEngine(const Checkpoint& checkpoint, Model& tested, const Tokenizer* tokenizer,
                     ArchitectureOverrides overrides)
    : checkpoint_(checkpoint), tested_(tested), tokenizer_(tokenizer), overrides_(std::move(overrides)),
      tested_subject_(make_in_process_subject(tested, tokenizer)) {
  const bool on_cpu = tested.device().is_cpu();
  const std::string device = tested.device().str();
  if (tested.dtype() != at::kDouble) {  // mps has no float64: there the CPU's stands in
    logic_ = make_float64(checkpoint, tested.backend(), tested.device().is_mps() ? "cpu" : device);
    logic_subject_ = make_in_process_subject(*logic_, tokenizer);
  }
  if (!on_cpu && !tested.device().is_mps()) {
    exact_ = make_float64(checkpoint, "auto", "cpu");
    exact_subject_ = make_in_process_subject(*exact_, tokenizer);
  }
}

VerifyTarget OwnEngine::target() {
  VerifyTarget target{*tested_subject_, logic_subject_.get(), exact_subject_.get()};
  target.checkpoint = &checkpoint_;
  target.overrides = overrides_;
  target.tokenizer = tokenizer_;
  auto blocks = std::make_shared<std::vector<std::unique_ptr<KeyBlocks>>>();
  target.use_key_blocks = [this, blocks](int64_t keys) {
    blocks->clear();
    if (keys == 0) return;
    blocks->push_back(std::make_unique<KeyBlocks>(tested_, keys));
    if (logic_) blocks->push_back(std::make_unique<KeyBlocks>(*logic_, keys));
  };
  target.use_threads = [](int threads) { set_threads(threads); };
  return target;
}

void OwnEngine::decorate(const std::function<std::unique_ptr<Subject>(std::unique_ptr<Subject>)>& wrap) {
  tested_subject_ = wrap(std::move(tested_subject_));
  if (logic_subject_) logic_subject_ = wrap(std::move(logic_subject_));
}

KeyBlocks::KeyBlocks(Model& model, int64_t keys) : model_(model), before_(model.plan_filter()) {
  model_.set_plan_filter([before = before_, keys](StepPlan plan) {
    if (before) plan = before(std::move(plan));
    for (LayerPlan& layer : plan.layers) layer.key_block = keys;
    return plan;
  });
}

KeyBlocks::~KeyBlocks() { model_.set_plan_filter(before_); }

}  // namespace kvproof
