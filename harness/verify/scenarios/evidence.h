// What wrong numbers look like: hypotheses about a fault, tried on the numbers themselves.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "harness/subject/subject.h"
#include "harness/verify/finding.h"
#include "harness/verify/scenarios/trace.h"

namespace kvproof {

/// Another sequence whose numbers may have strayed in.
struct OtherSequence {
  std::string name;  // "row 2", "a sequence of before"
  const Trace* trace = nullptr;
  int64_t length = 0;  // positions of it that exist
};

/// Wrong numbers and what surrounds them.
struct Scene {
  Place place;                    // stage, layer, position, tensor
  std::span<const double> found;  // (width) what the engine had there
  const Trace& trace;             // recomputation of that row
  const SubjectInfo& info;
  int64_t held = 0;          // positions the row holds after the step
  int64_t first = kNowhere;  // position of the forward's first token in that row; kNowhere: the step was none
  bool steps_right = false;  // an earlier forward of one token, behind others, was right
  std::vector<OtherSequence> others = {};
  const CacheSlots* slots = nullptr;  // the layer's storage of that row, held or not, from slot 0; null: unknown
};

/// A sentence about the first hypothesis that reproduces the wrong numbers; empty if none does.
/// Its phrases are those of clue.h. Cost: O(held² + held · D) for attention, else O(numbers of the traces)
std::string explain_values(const Scene& scene);

}  // namespace kvproof
