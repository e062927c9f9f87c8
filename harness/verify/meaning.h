// What a pattern of failures means: which part of an engine is to be suspected, and why.
#pragma once

#include <string>

#include "harness/verify/pattern.h"
#include "harness/verify/suspect.h"

namespace kvproof {

struct Meaning {
  Suspect suspect = Suspect::unknown;
  std::string hint;     // a sentence for people, without full stop
  std::string pattern;  // what else speaks for it; may be empty
};

// --- by what was done: operation_meaning.cc ---------------------------------------------------------------------------

Meaning meaning_of_generation(const Pattern& p);
Meaning meaning_of_twin(const Pattern& p);
/// Of a forward that does not fit.
Meaning meaning_of_refusal(const Pattern& p);
/// The divergence is there right behind an operation that is no forward.
Meaning meaning_of_operation(const Pattern& p);
/// It is in a forward behind such an operation. change: "truncate to 4"
Meaning meaning_after(const Pattern& p, const std::string& change);

// --- by where in the forward it is: stage_meaning.cc ------------------------------------------------------------------

/// What the numbers themselves say about attention or dtypes, whatever was done to the cache before; unknown: nothing.
Meaning meaning_of_clue(const Pattern& p);
Meaning meaning_of_rows(const Pattern& p);
/// Every stage was compared, so the earliest wrong one is the fault's; or a fact about the cache's state is wrong.
Meaning meaning_of_stage(const Pattern& p);

// --- where queries, attention and the residual stream are not to be seen: slot_meaning.cc -----------------------------

/// What the slots and the first wrong position tell.
Meaning meaning_of_slots(const Pattern& p);

}  // namespace kvproof
