// Measures what peaks.h is about.
#pragma once

#include <vector>

#include "harness/machine/peaks/peaks.h"
#include "harness/machine/peaks/read_memory.h"

namespace kvproof {

/// The dtypes that have peaks: float32, bfloat16, float16, float64.
bool has_peaks(const std::string& dtype);

struct PeakRequest {
  int64_t threads = 1;
  std::string dtype = "float32";
  std::vector<WorkingSet> read;
  std::vector<GemmShape> gemm;
  ContestPolicy contest;  // of each entry of both lists
};

/// Reads and multiplies as fast as is known here.
///
/// Reading, all threads together, each its part: "own kernel" (the matrix-vector product of engine/kernels; none for
/// float16) and "plain sum". Multiplying: "LibTorch" (its own threads) and "LibTorch by columns" (each thread multiplies
/// by some of W's rows, LibTorch taking one thread in each; only with more threads than one).
/// facts   whose last-level cache decides what is out of cache
/// memory  at least as large as the largest working set
/// throws  std::invalid_argument: a dtype without peaks, or memory too small; std::bad_alloc
/// cost    the contests' budgets, or one round of each where that takes longer. LibTorch's thread count is changed and
///         put back
Peaks measure_peaks(const PeakRequest& request, const MachineFacts& facts, const ReadMemory& memory,
                    const Clock& clock);

/// The same, with memory of its own that is given back at the end, by the machine's clock.
Peaks measure_peaks(const PeakRequest& request, const MachineFacts& facts);

// The two halves, for measure_peaks.
Rates read_rates(const WorkingSet& set, const std::string& dtype, int threads, const ReadMemory& memory,
                 const ContestPolicy& policy, const Clock& clock);
Rates gemm_rates(const GemmShape& shape, const std::string& dtype, int threads, const ContestPolicy& policy,
                 const Clock& clock);

}  // namespace kvproof
