// A record as JUnit XML: what CI systems show as passed and failed tests.
#pragma once

#include <string>

#include "harness/record/record.h"

namespace kvproof {

/// A testsuite for each checkpoint, in it a testcase for each of its cases and each of its verifications.
///
/// failure  the outputs disagree, a verification failed, or the measurement is of no use (type DISAGREE, FAIL, INVALID)
/// error    the case could not run; type is the error's kind, the message begins with its place
/// skipped  nobody knows whether the output is right: UNVERIFIED, OFF, INCONCLUSIVE, with the reason
/// time     of a case: the seconds that its repetitions took, both paths together, without warmup; verifications have none
/// Settings and figures are properties of a testcase; the run's exit code, whether it is partial, machine and build those of a
/// testsuite.
///
/// record  a run's record, as results/README.md has it
/// returns UTF-8; characters that XML 1.0 forbids are written out (\x1b)
/// throws  RecordError naming the field that is missing or of another type
std::string render_junit(const Json& record);

}  // namespace kvproof
