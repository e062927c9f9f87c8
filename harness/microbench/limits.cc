#include "harness/microbench/limits.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "harness/machine/machine.h"
#include "harness/machine/peaks/measure_peaks.h"

namespace kvproof {
namespace {

double best_of(const Rates& rates) {
  const auto best = rates.best();
  return best ? best->per_s : 0;
}

// Bytes per second; a working set of its own for each amount, since caches decide.
double read_limit(const IterationWork& work) {
  static std::map<std::tuple<std::string, int, int64_t>, double> known;
  const auto [at, is_new] = known.try_emplace({work.dtype, work.threads, work.bytes});
  if (is_new) {
    const ReadMemory memory(work.bytes);
    at->second = best_of(read_rates({"", work.bytes}, work.dtype, work.threads, memory, {}, now_ns));
  }
  return at->second;
}

// FLOPs per second.
double gemm_limit(const IterationWork& work) {
  static std::map<std::tuple<std::string, int>, double> known;
  const auto [at, is_new] = known.try_emplace({work.dtype, work.threads});
  if (is_new) at->second = best_of(gemm_rates({"square", 1024, 1024, 1024}, work.dtype, work.threads, {}, now_ns));
  return at->second;
}

benchmark::Counter rate(double per_iteration) { return {per_iteration, benchmark::Counter::kIsIterationInvariantRate}; }

}  // namespace

void report_work(benchmark::State& state, const IterationWork& work) {
  const auto bytes = static_cast<double>(work.bytes);
  double seconds = 0;
  if (work.bytes > 0) {
    state.counters["GB/s"] = rate(bytes / 1e9);
    seconds = bytes / read_limit(work);
  }
  if (work.flops > 0) {
    state.counters["GFLOP/s"] = rate(work.flops / 1e9);
    seconds = std::max(seconds, work.flops / gemm_limit(work));
  }
  state.counters["of_limit"] = rate(seconds);
}

}  // namespace kvproof
