// Which keys, heads or scale would have given a wrong output of attention.
#pragma once

#include <string>

#include "harness/verify/scenarios/evidence.h"

namespace kvproof {

/// For scenes of stage "attention": softmax over the recomputed queries, keys and values under other masks, head maps
/// and scales. tolerance: how far apart equal numbers may be. Empty if nothing reproduces what was found.
std::string explain_attention(const Scene& scene, double tolerance);

}  // namespace kvproof
