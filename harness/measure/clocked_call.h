// One generation under the clock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/measure/probe.h"
#include "harness/subject/subject.h"
#include "harness/verify/agreement.h"

namespace kvproof {

/// Times of one generation; all since the call began, the cache empty. Tokenization is not in any of them; the hashing of the
/// first logits in CPU time and context switches alone.
struct Sample {
  int64_t repetition = 0;   // within its list: first call, warm-up or samples
  int64_t order = 0;        // 0: first of its pair, 1: second
  int64_t e2e_ns = 0;       // to the last token
  int64_t ttft_ns = 0;      // to the first
  int64_t prefill_ns = 0;   // to the end of the first forward
  int64_t sampling_ns = 0;  // from the end of each forward to its token, summed; the first token's is ttft - prefill
  std::vector<int64_t> itl_ns;  // gaps between consecutive steps; gap i ends with the token at depth P + i + 1
  std::optional<int64_t> cpu_ns, context_switches;  // of the whole call, the return included; absent: not ours to see
  std::optional<int64_t> steal_ns;  // taken by the hypervisor from all CPUs meanwhile; the kernel counts in ticks
  std::string first_logits;         // XXH3's 128 bits over the logits behind the prompt, in hex; empty: they were not shown
  std::optional<int64_t> own_prefill_ns;  // of the first forward by the engine's own clock; absent: it has none
  std::optional<int64_t> own_decode_ns;   // of all later forwards, summed

  int64_t decode_ns() const;  // sum of the gaps
  int64_t decode_sampling_ns() const { return sampling_ns - (ttft_ns - prefill_ns); }
};

/// A generation with what it did.
struct ClockedCall {
  Sample sample;
  GenerationResult result;
  std::vector<TokenStream> streams;  // per row, terminal tokens included
  int64_t prefill_positions = 0;     // pushed through the model by the first forward
  int64_t observed_forwards = 0;     // positions of all forwards, as they were announced
};

/// Runs one generation. throws what the subject throws
ClockedCall clocked_call(Subject& subject, Path path, const GenerationRequest& request, Probe& probe);

}  // namespace kvproof
