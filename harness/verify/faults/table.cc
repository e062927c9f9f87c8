#include "harness/verify/faults/table.h"

#include <algorithm>

#include "engine/model/dtype.h"
#include "harness/verify/faults/parts.h"

namespace kvproof {

int64_t FaultContext::windowed_layer() const {
  for (int64_t i = 0; i < config.n_layer; ++i)
    if (config.window(i) + 1 < config.rotary_len()) return i;
  return -1;
}

int64_t FaultContext::value_embed_layer() const {
  for (int64_t i = config.n_layer - 1; i >= 0; --i)
    if (config.has_value_embed(i)) return i;
  return -1;
}

FaultContext fault_context(const Model& model, bool has_tokenizer) {
  return {model.config(), dtype_word(model.dtype()), has_tokenizer};
}

const std::vector<Fault>& faults() {
  static const std::vector<Fault> kFaults = [] {
    std::vector<Fault> all;
    for (auto table :
         {planting::plan_faults, planting::storage_faults, planting::memory_faults, planting::generation_faults})
      for (Fault& fault : table()) all.push_back(std::move(fault));
    return all;
  }();
  return kFaults;
}

const Fault* find_fault(const std::string& name) {
  const auto& all = faults();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Fault& fault) { return fault.name == name; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace kvproof
