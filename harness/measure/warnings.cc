#include "harness/measure/warnings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace kvproof {
namespace {

constexpr double kBusyLoad = 0.5;          // of the cores: more, and other programs take turns with ours
constexpr int64_t kFewestForInterval = 6;  // pairs that carry a 95 % sign-test interval

}  // namespace

std::vector<std::string> environment_warnings(const BuildInfo& build, bool asserts, const MachineFacts& facts,
                                              const LoadSnapshot& before) {
  std::vector<std::string> warnings;
  if (!build.sanitizers.empty()) {
    warnings.push_back(fmt::format("built with sanitizers ({}): times mean nothing; measure with the release preset",
                                   build.sanitizers));
  } else if (build.build_type == "Debug" || build.build_type.empty() || asserts) {
    warnings.push_back(fmt::format("a {} build{}: times mean little; measure with -DCMAKE_BUILD_TYPE=Release",
                                   build.build_type.empty() ? "nameless" : build.build_type,
                                   asserts ? " with assertions" : ""));
  }
  if (before.load.has_value() && !before.load->empty() && before.load->front() > kBusyLoad * facts.cores) {
    warnings.push_back(
        fmt::format("the machine was busy before the run (load {:.2f} on {} cores): close other programs, or take more "
                    "repetitions and read the intervals",
                    before.load->front(), facts.cores));
  }
  return warnings;
}

std::vector<std::string> case_warnings(const CaseMeasurement& m, int64_t prompt_tokens, const GptConfig& config) {
  std::vector<std::string> warnings;
  const auto repetitions = static_cast<int64_t>(m.naive.samples.size());
  if (repetitions == 1) {
    warnings.push_back(
        "1 repetition shows no spread; set run.repetitions to 6 or more for an interval, 12 for a good one");
  } else if (repetitions < kFewestForInterval) {
    warnings.push_back(
        fmt::format("{} repetitions carry no 95 % interval; set run.repetitions to 6 or more", repetitions));
  }
  if (!m.steady) {
    warnings.push_back(
        "times had not settled when the warm-up ended; repeat on a quieter machine, or set run.repetitions higher");
  }
  if (prompt_tokens + m.engine.result.steps > config.sequence_len) {
    warnings.push_back(fmt::format(
        "goes past position {}, the longest the model was trained on: its text there means little; shorten the "
        "prompt or sampler.max_tokens if the text matters",
        config.sequence_len));
  }
  return warnings;
}

std::string inconclusive_warning(const std::string& explanation) {
  return fmt::format(
      "verification is inconclusive: {}; the speed-up counts as unverified, a checkpoint with trained weights would "
      "decide it",
      explanation);
}

std::string latent_warning(const std::string& explanation) {
  return fmt::format("verification failed, but in nothing that this generation does: {}; its speed-up stands",
                     explanation);
}

void CaseWarnings::add(const std::string& id, const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    auto entry =
        std::find_if(ids_of_.begin(), ids_of_.end(), [&](const auto& known) { return known.first == warning; });
    if (entry == ids_of_.end()) entry = ids_of_.insert(ids_of_.end(), {warning, {}});
    entry->second.push_back(id);
  }
}

std::vector<std::string> CaseWarnings::lines() const {
  constexpr std::size_t kNamed = 3;
  std::vector<std::string> lines;
  for (const auto& [warning, ids] : ids_of_) {
    const std::size_t named = std::min(ids.size(), kNamed);
    std::string names =
        fmt::format("{}", fmt::join(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(named), ", "));
    if (ids.size() > named) names += fmt::format(" and {} more", ids.size() - named);
    lines.push_back(names + ": " + warning);
  }
  return lines;
}

std::vector<std::string> checkpoint_warnings(const std::string& name, const Inference& inference) {
  std::vector<std::string> warnings;
  for (const std::string& ambiguity : inference.ambiguities)
    warnings.push_back(fmt::format("{}: the checkpoint cannot tell {} (in a config: architecture)", name, ambiguity));
  return warnings;
}

}  // namespace kvproof
