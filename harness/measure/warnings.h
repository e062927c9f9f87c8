// What makes numbers less than they seem, each with what to do about it. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/model/gpt_config.h"
#include "harness/build_info.h"
#include "harness/machine/machine.h"
#include "harness/measure/repetitions.h"

namespace kvproof {

#ifdef NDEBUG
inline constexpr bool kAsserts = false;
#else
inline constexpr bool kAsserts = true;
#endif

/// Of the program and the machine. asserts: whether assertions were compiled in
std::vector<std::string> environment_warnings(const BuildInfo& build, bool asserts, const MachineFacts& facts,
                                              const LoadSnapshot& before);

/// Of what happened to the machine while a run took so many seconds.
std::vector<std::string> disturbance_warnings(const MachineFacts& facts, const LoadSnapshot& before,
                                              const LoadSnapshot& after, double seconds);

/// Of one case that ran; its name is not in them.
/// exact_lengths    whether the case is about so many tokens, rather than about a text that ends when it ends
/// harness_step_ns  own_step_ns
std::vector<std::string> case_warnings(const CaseMeasurement& measurement, const GenerationRequest& request,
                                       bool exact_lengths, const GptConfig& config, double harness_step_ns);

/// Of a case that could not be held against a fresh engine.
std::string fresh_warning(const std::string& why);

/// Of a case whose verification could not decide.
/// explanation  the verification's own
std::string inconclusive_warning(const std::string& explanation);

/// Of a case whose engine fails in something that no generation of its own does.
std::string latent_warning(const std::string& explanation);

/// Warnings by the cases they are about, in the order in which they came: one line each, "a, b: …", "a, b, c and 2
/// more: …".
class CaseWarnings {
 public:
  void add(const std::string& id, const std::vector<std::string>& warnings);
  std::vector<std::string> lines() const;

 private:
  std::vector<std::pair<std::string, std::vector<std::string>>> ids_of_;  // warning, ids
};

/// Of a checkpoint: what its file cannot tell.
std::vector<std::string> checkpoint_warnings(const std::string& name, const Inference& inference);

}  // namespace kvproof
