// One operation of a script, carried out on a subject's caches.
#pragma once

#include <memory>
#include <vector>

#include "harness/subject/subject.h"
#include "harness/verify/scenarios/script.h"

namespace kvproof {

/// A scenario's caches by their numbers; null: not made yet.
using Caches = std::vector<std::unique_ptr<SubjectCache>>;

struct Executed {
  std::vector<LogitRows> logits;  // forward: one entry per row; of one that is to be refused: none
  bool refused = false;           // a CapacityError answered what is to be refused
};

/// caches  grows where the step's cache is new
/// can     the subject's abilities: without all_logits a forward asks for the last logits whatever the step says
/// sink    is shown a forward's stages, unless it is to be refused; may be null
/// throws  what the subject throws, but for the CapacityError of a step that is to be refused
Executed execute(const CacheStep& step, Subject& subject, const Abilities& can, Caches& caches, StageSink* sink);

}  // namespace kvproof
