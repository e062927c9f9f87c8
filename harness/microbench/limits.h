// What a benchmark is held against: the time that this machine needs at least for its bytes and its FLOPs.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>

namespace kvproof {

/// What one iteration must at least do.
struct IterationWork {
  std::string dtype = "float32";  // of the matrices; one of those that have peaks
  int threads = 1;
  int64_t bytes = 0;  // that it reads and writes
  double flops = 0;
};

/// Adds the counters of `work` to a benchmark's: GB/s; GFLOP/s where it has FLOPs; and of_limit, the time in which so
/// many threads read as many bytes again and again, or do as many FLOPs in the fastest product, whichever is longer,
/// over the time of an iteration. For a benchmark that has run, with UseRealTime where it has several threads.
///
/// cost  a quarter of a second for each limit that no benchmark asked for before; they are measured as `kvproof
///       machine` does, after the benchmark's loop
void report_work(benchmark::State& state, const IterationWork& work);

}  // namespace kvproof
