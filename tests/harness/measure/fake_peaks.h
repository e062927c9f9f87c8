// Peaks that a test says, instead of a second's measurement on a machine where others are busy.
#pragma once

#include <vector>

#include "harness/measure/run.h"

namespace kvproof::testing {

/// Every request's entries, reading and multiplying at these rates.
inline Peaks peaks_of(const PeakRequest& request, double read_per_s, double flops_per_s,
                      std::optional<bool> out_of_cache = false) {
  Peaks peaks{request.threads, request.dtype, {}, {}};
  for (const WorkingSet& set : request.read)
    peaks.read.push_back({set, out_of_cache, {{{"plain sum", read_per_s}}, 1}});
  for (const GemmShape& shape : request.gemm) peaks.gemm.push_back({shape, {{{"LibTorch", flops_per_s}}, 1}});
  return peaks;
}

/// A machine that nothing reaches. requests: gets all that was asked for; may be null.
inline RunHooks fake_peaks(std::vector<PeakRequest>* requests = nullptr) {
  RunHooks hooks;
  hooks.measure_peaks = [requests](const PeakRequest& request) {
    if (requests) requests->push_back(request);
    return peaks_of(request, 1e15, 1e18);
  };
  return hooks;
}

}  // namespace kvproof::testing
