// The terminal's view of a verification, out of its JSON document alone.
#pragma once

#include <string>

#include "harness/record/record.h"

namespace kvproof {

/// Verdict last, as one reads a terminal: what was checked, by level; how well the check could see; what it did not see;
/// where the first divergence is and how to run it again. throws RecordError: not such a document
std::string render_verification(const Json& document, bool colour, int width);

/// The list of faults, by class.
std::string render_faults(const Json& document, bool colour, int width);

/// The kill matrix and its sums.
std::string render_self_test(const Json& document, bool colour, int width);

}  // namespace kvproof
