// What flows between the operations of a forward, against recomputation (L4).
#pragma once

#include <vector>

#include "harness/verify/scenarios/compare.h"

namespace kvproof {

/// Keeps a copy of every stage it is shown.
class StageCollector final : public StageSink {
 public:
  struct Stored {
    Stage stage;
    int64_t layer, row, count, width;
    std::vector<double> values;  // (count, width)
  };

  void on_stage(const StageValues& v) override {
    stored_.push_back({v.stage, v.layer, v.row, v.count, v.width, {v.values.begin(), v.values.end()}});
  }
  const std::vector<Stored>& stored() const { return stored_; }

 private:
  std::vector<Stored> stored_;
};

/// The stages of the forward that the standing's own cache has just taken, as far as recomputation shows them too.
void check_stages(const StageCollector& collected, const Standing& standing, Comparison& comparison);

}  // namespace kvproof
