// Is somebody else's model the one of our checkpoint? Its uncached logits against our engine's.
#pragma once

#include <cstdint>

#include "harness/subject/subject.h"
#include "harness/verify/vectors/model_check.h"

namespace kvproof {

/// Holds the uncached logits of `tested` against `exact` at every position of 8 tokens, and of sequences that cross each
/// window and then sequence_len, while the estimate of our own forwards stays below `seconds`.
///
/// tested  uncached logits; its dtype chooses the gate, float32's at best: two engines may round their tables differently
/// naive   ours in that dtype: how far rounding carries it
/// exact   ours in float64
/// returns logits, worst, allowed (the smallest), tokens, positions, findings, not_covered; constants stay empty
/// throws  ArgumentError: the subject's vocabulary is not ours; what the subjects throw
ModelReport compare_models(Subject& tested, Subject& naive, Subject& exact, uint64_t seed, double seconds);

}  // namespace kvproof
