// Where a run is, told as it goes on, and the place where it can be ended.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "harness/measure/run.h"

namespace kvproof {

/// Thrown out of whatever is being done once the run is interrupted; no std::exception, so that nobody takes it for a fault
/// of what was being done.
struct Interrupted {};

class RunTeller {
 public:
  /// config, life  must outlive it. progress  may be null
  RunTeller(const LoadedConfig& config, Progress* progress, const RunLife& life);

  /// One more case begins to be measured.
  void begin_case() { ++begun_; }
  /// So many cases need not be measured.
  void pass(std::size_t cases) { begun_ += cases; }
  std::size_t begun() const { return begun_; }

  /// index      of the case in the config; number: in the order of the run, from 1
  /// case_left  seconds, as far as is known
  /// returns    false where the run was interrupted, which is then not told
  bool show(std::size_t index, std::size_t number, const std::string& stage, int64_t done = 0, int64_t total = 0,
            std::optional<double> case_left = {});
  /// The same. throws Interrupted
  void tell(std::size_t index, std::size_t number, const std::string& stage, int64_t done = 0, int64_t total = 0,
            std::optional<double> case_left = {});

 private:
  const LoadedConfig& config_;
  Progress* progress_;
  const RunLife& life_;
  int64_t start_ns_;
  std::size_t begun_ = 0;
};

}  // namespace kvproof
