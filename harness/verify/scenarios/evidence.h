// What wrong numbers look like: hypotheses about a fault, tried on the numbers themselves.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "harness/subject/subject.h"
#include "harness/verify/finding.h"
#include "harness/verify/scenarios/trace.h"

namespace kvproof {

/// A sentence about the first hypothesis that reproduces the wrong numbers; empty if none does.
///
/// place  where they were found: stage, layer, position, tensor
/// found  (width) what the engine had there
/// trace  recomputation of that row
/// rows   what every row of the cache holds
std::string explain_values(const Place& place, std::span<const double> found, const Trace& trace,
                           const std::vector<Tokens>& rows, const SubjectInfo& info);

}  // namespace kvproof
