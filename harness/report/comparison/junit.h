// A comparison as JUnit XML: what CI systems show as passed and failed tests.
#pragma once

#include <string>

#include "harness/record/record.h"

namespace kvproof {

/// A testsuite for each tier: "exact" with a testcase for each case; "times" and "report only" with one for each case and
/// time; "floors" with one for each floor. Tiers without any are left out.
///
/// failure  type CHANGED or MISSING (a value that nobody accepted), REGRESSED (a gated time, confirmed; a floor)
/// error    type INCOMPARABLE: nothing can be said, with the reason
/// skipped  a gated time of which nothing is known: INCONCLUSIVE, with the reason
/// Times that never fail pass, with their verdict as a property. Ratios, intervals and margins are properties of a testcase;
/// who was compared, and the exit code, those of a testsuite.
///
/// comparison  a document as harness/compare/document.h has it
/// returns     UTF-8; characters that XML 1.0 forbids are written out (\x1b)
/// throws      RecordError naming the field that is missing or of another type
std::string render_comparison_junit(const Json& comparison);

}  // namespace kvproof
