// Runs in which nothing is wrong, each unlike the others: none may raise an alarm.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace kvproof {

struct BenignSummary {
  int64_t runs = 0;
  std::vector<std::string> alarms;  // "decode[9,3]/float32, seed 17, over key blocks of 3, on d4,…: what was reported"
};

/// One run: one scenario with numbers of its own on a fresh seed, on one of the shapes, in float64 or float32, under one
/// benign variation: the engine as it is, attention summed over key blocks, matrices summed in another order (the hidden
/// units of every mlp permuted), over-allocated capacity, another number of threads.
/// backend   native | aten
/// progress  called before each run; may be empty
BenignSummary run_benign(int64_t runs, const std::string& backend, uint64_t seed, const std::function<void(int64_t run)>& progress);

}  // namespace kvproof
