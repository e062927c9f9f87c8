// What each dtype of a verification is held against.
#pragma once

#include <vector>

#include "harness/subject/subject.h"
#include "harness/verify/gates.h"
#include "harness/verify/verdict/calibrate.h"
#include "harness/verify/verdict/verify.h"

namespace kvproof {

/// One dtype's side of the check: a subject, and what its numbers are held against.
struct VerifySide {
  Subject& subject;
  Subject& naive;  // its uncached path, or ours
  Subject* exact;  // float64; null: the naive path is its own reference
  SubjectInfo info;
  Gate gate;
  bool numerics = false;  // the same code's logic is judged in float64, on another side
};

/// Float64's first, where there is one. They refer to the target's subjects.
std::vector<VerifySide> sides_of(const VerifyTarget& target);

/// What shows whether a side's gate can be trusted.
CalibrationTarget calibration_of(const VerifySide& side, const VerifyTarget& target);

/// Whose cached path is judged in float64, and what computes exactly: the tested subject where the target has no other.
Subject& logic_subject(const VerifyTarget& target);
Subject& exact_subject(const VerifyTarget& target);

}  // namespace kvproof
