// What makes numbers less than they seem, each with what to do about it. Pure.
#pragma once

#include <string>
#include <vector>

#include "engine/model/gpt_config.h"
#include "harness/build_info.h"
#include "harness/config/config.h"
#include "harness/machine/machine.h"
#include "harness/measure/repetitions.h"

namespace kvproof {

/// Of the program and the machine. asserts: whether assertions were compiled in
std::vector<std::string> environment_warnings(const BuildInfo& build, bool asserts, const MachineFacts& facts, const LoadSnapshot& before);

/// Of one case that ran.
std::vector<std::string> case_warnings(const Case& cell, const CaseMeasurement& measurement, int64_t prompt_tokens,
                                       const GptConfig& config);

/// Of a checkpoint: what its file cannot tell.
std::vector<std::string> checkpoint_warnings(const std::string& name, const Inference& inference);

}  // namespace kvproof
