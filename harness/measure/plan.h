// What a config will run and about how long it takes, before anything is measured.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/model/gpt_config.h"
#include "harness/config/config.h"
#include "harness/measure/probe.h"
#include "harness/subject/subject.h"
#include "harness/workload/workload.h"

namespace kvproof {

struct PlannedCase {
  std::string id;
  std::string shape;  // "pp16 tg128"; rows may stop earlier
  int64_t prompt_tokens = 0,  // depth included
      max_tokens = 0, rows = 0;
  int64_t naive_token_forwards = 0, engine_token_forwards = 0;  // of one repetition, no row stopping early
  double measured_s = 0;                                        // cold calls, warm-up, repetitions
  double estimated_s = 0;  // these, loading, peaks, the comparison of its tokens, its share of the group's verification
};

/// Opens every checkpoint, makes every prompt into tokens, checks that it fits, and times a few forwards of each model.
///
/// returns  the cases in the config's order
/// throws   the first error that a run would meet: see open_session, resolve_prompt, model_options; CapacityError,
///          with the case's id, for prompts and max_tokens past the rotary tables
/// cost     about a second for each model, and its loading
std::vector<PlannedCase> plan_config(const LoadedConfig& config);

/// What forwards of one model cost here: step_s each, and the FLOPs past one token's at a rate.
struct ForwardRate {
  double load_s = 0;
  double step_s = 0;
  double flops_per_s = 1;
};

/// Times a prefill and some decode steps, the best of a few each.
/// config  whose FLOPs the rate is in
ForwardRate calibrate(Subject& subject, const GptConfig& config, Probe& probe);

/// The case's cost by the cost model at these rates, without the verification of its group.
PlannedCase estimate_case(const Case& cell, const Prompt& prompt, const GptConfig& config, const ForwardRate& rate);

}  // namespace kvproof
