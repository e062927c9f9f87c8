// How a verification divides its time, by estimates alone.
#pragma once

#include "harness/subject/subject.h"
#include "harness/verify/verdict/verify.h"

namespace kvproof {

class Budget {
 public:
  /// Both must outlive this.
  Budget(const VerifyTarget& target, const VerifyOptions& options)
      : target_(target), options_(options), tested_(target.tested.info()) {}

  /// Of the whole, as the caller or the depth sets them.
  double seconds() const;
  /// What is left for scenarios of caches when the model and the calibrations have had their share; in seconds of ours,
  /// as the suite's estimates are.
  double scenario_seconds() const;
  /// One forward of one token.
  double forward_seconds(const SubjectInfo& info) const;
  /// Floating-point operations.
  double oracle_flops() const;

 private:
  const VerifyTarget& target_;
  const VerifyOptions& options_;
  SubjectInfo tested_;
};

}  // namespace kvproof
