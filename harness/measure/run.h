// A whole config: every case measured, verified and written down as one record.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/config/config.h"
#include "harness/error.h"
#include "harness/record/record.h"

namespace kvproof {

/// Where a run is.
struct ProgressEvent {
  std::string case_id;
  std::size_t number = 1, cases = 1;   // this is the number-th of so many cases, in the order in which they run
  std::string stage;                   // "load", "first call", "warm-up", "repetition", "agreement"
  int64_t done = 0, total = 0;         // of the stage; 0 of 0 where it has no steps
  std::optional<double> seconds_left;  // of the whole run, as far as can be told; absent until something was timed
};

/// Told before every step; on_event must be quick, for it runs between the measurements.
class Progress {
 public:
  virtual ~Progress() = default;
  virtual void on_event(const ProgressEvent& event) = 0;
};

struct RunOutcome {
  Json record;  // complete: results/README.md
  /// The worst of all cases: ok, disagree (5), failed (6: a case failed or is INVALID), usage (2), bug (70).
  ExitCode code;
};

/// Runs all cases of a config. A case that fails does not stop the others.
///
/// Cases of one checkpoint, backend, dtype, device and number of threads run together on one model, which is freed
/// before the next; the float64 reference exists only while they are verified. The record has the config's order.
/// command   the words of the command line, for the record
/// progress  may be null
/// cost      the thread count of LibTorch is changed and put back
RunOutcome run_config(const LoadedConfig& config, const std::vector<std::string>& command,
                      Progress* progress = nullptr);

}  // namespace kvproof
