// A fault planted in an engine that is about to be verified: in the model under test and in its float64 twin.
#pragma once

#include <optional>

#include "harness/record/record.h"
#include "harness/verify/faults/plant.h"
#include "harness/verify/verdict/own_engine.h"

namespace kvproof {

/// throws ArgumentError (place "--plant"): no such fault, and where they are listed
const Fault& fault_named(const std::string& name);

class PlantedEngine {
 public:
  /// throws ArgumentError (place "--plant"): this model cannot show the fault, and why
  PlantedEngine(const Fault& fault, OwnEngine& engine, const FaultContext& context);

 private:
  PlantedFault tested_;
  std::optional<PlantedFault> logic_;
};

/// {"faults": [{"name", "class", "summary", "seen", "place", "applicable", "reason"}]} for one model.
Json faults_json(const FaultContext& context);

/// {"component", "stage", "tensor", "layer", "operation"}: where the localiser must point.
Json fault_place_json(const FaultPlace& place);

/// Whether a divergence points where the fault is.
bool points_at(const FaultPlace& place, const Divergence& divergence);

}  // namespace kvproof
