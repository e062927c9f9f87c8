#include "harness/machine/peaks/measure_peaks.h"

#include <algorithm>
#include <stdexcept>

namespace kvproof {

bool has_peaks(const std::string& dtype) {
  return dtype == "float32" || dtype == "bfloat16" || dtype == "float16" || dtype == "float64";
}

Peaks measure_peaks(const PeakRequest& request, const MachineFacts& facts, const ReadMemory& memory,
                    const Clock& clock) {
  if (!has_peaks(request.dtype)) throw std::invalid_argument("a dtype without peaks: " + request.dtype);
  const int threads = static_cast<int>(request.threads);
  const Fact<int64_t> last_level = last_level_cache(facts);
  Peaks peaks{request.threads, request.dtype, {}, {}};
  for (const WorkingSet& set : request.read) {
    peaks.read.push_back({set, is_out_of_cache(set.bytes, last_level),
                          read_rates(set, request.dtype, threads, memory, request.contest, clock)});
  }
  for (const GemmShape& shape : request.gemm)
    peaks.gemm.push_back({shape, gemm_rates(shape, request.dtype, threads, request.contest, clock)});
  return peaks;
}

Peaks measure_peaks(const PeakRequest& request, const MachineFacts& facts) {
  int64_t most = 1;
  for (const WorkingSet& set : request.read) most = std::max(most, set.bytes);
  return measure_peaks(request, facts, ReadMemory(most), now_ns);
}

}  // namespace kvproof
