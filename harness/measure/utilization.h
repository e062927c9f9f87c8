// What share of the machine's measured peaks a case reached: mbu of decode, mfu of prefill. Pure arithmetic on the cost
// model, the samples and the peaks; names and definitions are in results/README.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/gpt_config.h"
#include "harness/machine/peaks/peaks.h"
#include "harness/measure/repetitions.h"
#include "harness/stats/stats.h"

namespace kvproof {

/// Bytes of one element, by what it belongs to: embedding tables stay in their stored dtype, matrices are converted to
/// the model's, keys and values have the model's.
struct ElementBytes {
  int64_t matmul = 4, embedding = 4, kv = 4;
};

/// Of all weights as they are held in memory (padding rows of the vocabulary excluded).
int64_t weight_bytes_stored(const GptConfig& config, const ElementBytes& bytes);

/// Of the weights that a forward of so many tokens must read at least: matrices and scalars once, for each token one row
/// of each embedding.
int64_t weight_bytes_read(const GptConfig& config, const ElementBytes& bytes, int64_t tokens);

struct DecodeUse {
  double weight_bytes_read = 0,
         kv_bytes_read = 0;          // of a step, all rows together; means over the steps after the first
  std::optional<bool> out_of_cache;  // is_out_of_cache of both; absent: the machine's cache is unknown
  Summary bytes_per_s;               // both, over the time of the forwards: sampling left out
  Fact<double> peak_bytes_per_s;
  Fact<Summary> mbu;  // bytes_per_s / peak
};

struct PrefillUse {
  double flops = 0;
  Summary flops_per_s;
  Fact<double> peak_flops_per_s;
  Fact<Summary> mfu;  // flops_per_s / peak
};

struct PathUse {
  Fact<DecodeUse> decode;
  Fact<PrefillUse> prefill;
};

struct CaseUse {
  int64_t weight_bytes_stored = 0;
  PathUse naive, engine;
};

/// What a case's bytes and FLOPs are counted from.
struct CaseShape {
  const GptConfig& config;
  ElementBytes bytes;
  bool naive_logits_at_all = true;
  int64_t prompt = 0;  // tokens
  int64_t kept = 0;    // of them in the engine's cache when the clock starts
};

/// peaks       of the same number of threads and dtype; unknown: mbu and mfu are too, for its reason
/// last_level  last_level_cache of the machine
CaseUse case_use(const CaseShape& shape, const CaseMeasurement& measurement, const Fact<Peaks>& peaks,
                 const Fact<int64_t>& last_level);

/// Why the numbers cannot be right: a median mbu above 1 where nothing comes out of a cache. Empty: nothing says so.
std::vector<std::string> use_faults(const CaseUse& use);

}  // namespace kvproof
