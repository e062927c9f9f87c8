// Can the checker fail? Every fault planted in turn, and a thousand runs in which nothing is wrong.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "harness/record/record.h"

namespace kvproof {

struct SelfTestOptions {
  std::string backend = "native";  // native | aten: whose code the faults are planted in. aten's is the healthy reference
  uint64_t seed = 1;
  int64_t benign_runs = 1000;
  std::function<void(const std::string& stage)> progress = {};
};

/// The document of `kvproof verify --self-test` (results/README.md): {"faults", "killed", "localised", "benign_runs",
/// "false_alarms", "passed", "matrix": [{"name", "class", "model", "killed", "levels", "cheapest", "localised", …}]}.
///
/// A fault is planted in the first shape that can show it; the quick suites of caches and generators run in float64, and the
/// localiser sees their outcomes alone. passed: all killed, 90 % localised, no false alarm.
/// cost  about a second per fault, 20 ms per benign run
Json run_self_test(const SelfTestOptions& options);

}  // namespace kvproof
