// The parts that a generation is made of, each timed alone: forwards, sampling, tokenization, the subject protocol, kernels.
#pragma once

namespace kvproof {

/// Registers all parts with Google Benchmark. Their model is KVPROOF_SYNTHETIC's (such as d12), or the one that
/// KVPROOF_BASE_DIR names, else the embedded configs/checkpoints/demo-d4; it is opened by the first benchmark that needs it.
void register_part_benchmarks();

}  // namespace kvproof
