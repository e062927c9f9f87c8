#include "harness/verify/faults/plant.h"

#include <c10/core/InferenceMode.h>

#include <utility>

namespace kvproof {

PlantedFault::PlantedFault(const Fault& fault, Model& model) : PlantedFault(fault, model, fault_context(model, true)) {}

PlantedFault::PlantedFault(const Fault& fault, Model& model, const FaultContext& context)
    : model_(model), plant_(fault.plant(context)) {
  if (plant_.filter) model_.set_plan_filter(plant_.filter);
  if (plant_.hook) {
    model_.set_cache_hook([hook = plant_.hook](KVCache& cache, const CacheOperation& operation) {
      const c10::InferenceMode guard;  // a cache's storage may be written nowhere else
      hook(cache, operation);
    });
  }
}

PlantedFault::~PlantedFault() {
  if (plant_.filter) model_.set_plan_filter(nullptr);
  if (plant_.hook) model_.set_cache_hook(nullptr);
}

std::unique_ptr<Subject> PlantedFault::wrap(std::unique_ptr<Subject> subject) const {
  return plant_.wrap ? plant_.wrap(std::move(subject)) : std::move(subject);
}

}  // namespace kvproof
