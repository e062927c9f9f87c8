// What measuring itself costs.
#pragma once

#include <cstdint>

#include "harness/measure/probe.h"

namespace kvproof {

/// Time that the clock and the book-keeping of one step take, in ns: from generations of a subject that does nothing, the
/// fastest of some. It is in every gap between tokens of so many rows.
/// cost  some milliseconds
double own_step_ns(int64_t rows, Probe& probe);

}  // namespace kvproof
