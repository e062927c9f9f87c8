// What a config will run and about how long it takes, before anything is measured.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/gpt_config.h"
#include "harness/config/config.h"
#include "harness/measure/probe.h"
#include "harness/measure/verification.h"
#include "harness/subject/subject.h"
#include "harness/workload/workload.h"

namespace kvproof {

struct PlannedCase {
  std::string id;
  std::string shape;  // "pp16 tg128"; rows may stop earlier
  int64_t prompt_tokens = 0,  // depth included
      max_tokens = 0, rows = 0;
  int64_t naive_token_forwards = 0, engine_token_forwards = 0;  // of one repetition, no row stopping early
  int64_t repetitions = 0;                 // that the estimates below count on
  /// That `repetitions: auto` would take; absent: the config gives their number.
  std::optional<int64_t> auto_repetitions = {};
  bool verified = false;                   // it has a share of its group's verification
  double round_s = 0;                      // one repetition: a generation by each path
  double warm_s = 0;                       // cold calls and warm-up
  double besides_s = 0;                    // loading, peaks, the fresh engine's calls, the comparison of its tokens
  double measured_s = 0;                   // warm_s and the repetitions
  double estimated_s = 0;                  // all of it, and its share of the group's verification
};

/// The verification of a group's cases takes the longer the longer they are measured.
struct PlannedVerification {
  SubjectInfo info;  // of the model under test
  Depth depth = Depth::quick;
  std::vector<std::size_t> cases;  // all of the group, as indices into Plan::cases
};

struct Plan {
  std::vector<PlannedCase> cases;  // in the config's order
  std::vector<PlannedVerification> verifications;

  double estimated_s() const;  // of all cases
};

/// The same plan where cases whose repetitions are auto take at most so many. Pure; the estimates follow.
Plan with_at_most(Plan plan, int64_t repetitions);

/// Opens every checkpoint, makes every prompt into tokens, checks that it fits, and times a few forwards of each model.
///
/// returns  with as many repetitions as the config says, or auto would take
/// throws   the first error that a run would meet: see open_session, resolve_prompt, model_options; CapacityError,
///          with the case's id, for prompts and max_tokens past the rotary tables
/// cost     half a second for each model, and its loading; where peaks are measured, once the time to get memory for them
Plan plan_config(const LoadedConfig& config);

/// What forwards of one model cost here: step_s each, and the FLOPs past one token's at a rate.
struct ForwardRate {
  double load_s = 0;
  double step_s = 0;
  double flops_per_s = 1;
};

/// Times a prefill and some decode steps, the best of some each.
/// config  whose FLOPs the rate is in
ForwardRate calibrate(Subject& subject, const GptConfig& config, Probe& probe);

/// The case's cost by the cost model at these rates, without the verification of its group.
PlannedCase estimate_case(const Case& cell, const Prompt& prompt, const GptConfig& config, const ForwardRate& rate);

}  // namespace kvproof
