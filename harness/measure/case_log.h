// What is remembered of a case's measurement beyond this process.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/measure/clocked_call.h"

namespace kvproof {

struct CaseMeasurement;

/// What earlier processes measured of a case: whole rounds, one sample of each path.
struct EarlierRounds {
  int64_t repetitions = 0;  // how many were decided on; 0: it did not come to that
  bool steady = true;
  std::vector<Sample> naive_warmup, engine_warmup;
  std::vector<Sample> naive, engine;  // equally long
};

class CaseLog {
 public:
  virtual ~CaseLog() = default;
  /// Both first calls are over. returns what there was of the case before this process
  /// throws  RecordError: it was of other outputs, or of another engine
  virtual EarlierRounds begin(const CaseMeasurement& first_calls) = 0;
  /// The warm-up is over, and so many rounds will be measured, earlier ones among them.
  virtual void decided(const CaseMeasurement& warmed_up, int64_t repetitions) = 0;
  virtual void round(const Sample& naive, const Sample& engine) = 0;
};

}  // namespace kvproof
