// What must hold behind every step whatever the numbers are: rows, lengths, capacities, storage of one's own.
#pragma once

#include "harness/verify/scenarios/compare.h"

namespace kvproof {

/// L0 of the cache that the step was done to: its rows, their lengths, its capacity; and the tokens it remembers (L4).
/// returns whether rows and lengths are as expected: where they are not, nothing else can be compared
bool check_lengths(const Standing& standing, Comparison& comparison);

/// L0: no two rows of the scenario's caches lie in the same memory. Notes the first two that do.
void check_storage(const Standing& standing, Comparison& comparison);

}  // namespace kvproof
