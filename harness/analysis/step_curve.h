// How the time of a token grows with the tokens before it: the curve that a KV cache bends from a slope to a level.
// Pure functions on a record's case.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/record/view.h"
#include "harness/stats/stats.h"

namespace kvproof {

/// Tokens before the prompt that were in the engine's cache when the clock started. Older records have none: 0.
int64_t depth_of(const View& one_case);

/// Tokens before the first generated one: these, and the prompt's.
int64_t tokens_before(const View& one_case);

/// One path's decode steps, ascending in depth.
struct StepCurve {
  std::vector<double> depth;  // tokens of the row before the one that the step computes
  std::vector<double> ns;     // median over the repetitions, all rows together

  std::size_t size() const { return depth.size(); }
};

/// From the samples of `path` ("naive", "engine"): step i of a case with P prompt tokens has depth P + i, and
/// the tokens that the engine had in its cache besides. Ends with
/// the shortest sample.
/// throws  RecordError: a damaged record
StepCurve step_curve(const View& one_case, const std::string& path);

/// The curve in at most `parts` parts of as many steps each (their number differs by one at most); a part's depth and
/// time are its medians.
/// throws  std::invalid_argument: parts < 1
StepCurve in_parts(const StepCurve& curve, int64_t parts);

/// The line through all steps, ns over depth. Absent for fewer than two steps.
std::optional<Line> line_through(const StepCurve& curve);

}  // namespace kvproof
