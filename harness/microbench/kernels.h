// The engine's kernels, each beside the speed at which this machine reads.
#pragma once

namespace kvproof {

/// Registers `kernels/…` with Google Benchmark.
void register_kernel_benchmarks();

}  // namespace kvproof
