// A fault in force, for as long as this object lives.
#pragma once

#include <memory>

#include "harness/verify/faults/table.h"

namespace kvproof {

class PlantedFault {
 public:
  /// Takes the model's plan filter and cache hook; whatever was set there before is replaced. Caches made from now on and
  /// their clones keep the fault for their lifetime.
  ///
  /// model  must outlive this object
  PlantedFault(const Fault& fault, Model& model);
  /// As above for a model that is a copy of another in a wider dtype: faults of the tested one's dtype stay the same.
  PlantedFault(const Fault& fault, Model& model, const FaultContext& context);
  ~PlantedFault();
  PlantedFault(const PlantedFault&) = delete;
  PlantedFault& operator=(const PlantedFault&) = delete;

  /// A subject of the same model with the fault's part outside of it; the subject itself where it has none.
  std::unique_ptr<Subject> wrap(std::unique_ptr<Subject> subject) const;

 private:
  Model& model_;
  Plant plant_;
};

}  // namespace kvproof
