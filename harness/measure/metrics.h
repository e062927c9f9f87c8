// Samples to the named numbers of a path and of a case. Pure arithmetic; names and definitions are in
// results/README.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/gpt_config.h"
#include "harness/measure/repetitions.h"
#include "harness/measure/utilization.h"
#include "harness/measure/verification.h"
#include "harness/stats/stats.h"
#include "harness/verify/agreement.h"

namespace kvproof {

/// Median, least, largest over the repetitions. Absent, with the reason, where a definition divides by nothing.
struct PathMetrics {
  Fact<Summary> e2e_ns, ttft_ns, prefill_ns, tpot_ns;
  Fact<Summary> prefill_tok_per_s, decode_tok_per_s, decode_tok_per_s_without_sampling, output_tok_per_s;
  Fact<Summary> own_prefill_ns, own_tpot_ns;  // by the engine's own clock
  std::vector<double> itl_ns;                 // of all repetitions together
};

/// At least one sample. Rates count the tokens that rows really produced, terminal ones included.
PathMetrics path_metrics(const PathMeasurement& measurement);

/// How much faster the cached path is.
struct Speedup {
  std::optional<std::string> withheld;  // why there is none: then nothing below
  Fact<Interval> e2e, prefill, decode;  // naive / engine, paired per repetition
  bool verified = false;                // the logits were compared and agree, and the cache's verification passed
};

Speedup speedup(const CaseMeasurement& measurement, const Agreement& agreement, const CaseVerification& verification);

/// Why a case's outputs cannot be trusted: "the outputs disagree: …", "verification failed: …". Empty: nothing says so.
std::vector<std::string> output_faults(const Agreement& agreement, const CaseVerification& verification);

/// What the two paths must do, out of shapes alone.
struct Work {
  double work_ratio = 0;  // token forwards, naive / engine
  double ceiling = 0;     // FLOPs, naive / engine: attention and logits included
  int64_t weight_bytes_stored = 0, weight_bytes_read = 0;  // read: by a decode step of all rows
  int64_t kv_bytes_per_token = 0;
};

/// Token forwards, naive / engine.
double work_ratio(const CaseMeasurement& measurement);

/// prompt  tokens, kept: those of them that the engine has in its cache; the rows are as long as the engine's streams
Work work_of(const GptConfig& config, const ElementBytes& bytes, bool naive_logits_at_all, int64_t prompt, int64_t kept,
             const CaseMeasurement& measurement);

/// FLOPs of both paths for rows of these lengths; prompt, kept as for work_of.
struct PathFlops {
  double naive = 0, engine = 0;
};
PathFlops path_flops(const GptConfig& config, bool naive_logits_at_all, int64_t prompt, int64_t kept,
                     const std::vector<int64_t>& lengths);

}  // namespace kvproof
