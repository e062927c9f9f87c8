// The parts of the terminal's table. Inside harness/report/comparison only.
#pragma once

#include "harness/report/comparison/comparison.h"
#include "harness/report/page.h"

namespace kvproof::comparison {

/// Who against whom, on which machine, and who compared.
void write_sides(const Comparison& all, Page& page);

/// What must be the same to the digit, and is or is not.
void write_exact(const Comparison& all, Page& page);

/// Times: what gates, what is only told, controls, floors, where δ comes from, what the words mean.
void write_times(const Comparison& all, Page& page);

/// "  REGRESSED     "; painted, as wide as the widest verdict.
std::string verdict_label(const std::string& verdict, int indent, const Page& page);

inline constexpr int kVerdictWidth = 12;  // of INCONCLUSIVE and INCOMPARABLE

}  // namespace kvproof::comparison
