#include "harness/measure/warnings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/stats/stats.h"

namespace kvproof {
namespace {

constexpr double kBusyLoad = 0.5;          // of the cores: more, and other programs take turns with ours
constexpr int64_t kFewestForInterval = 6;  // pairs that carry a 95 % sign-test interval
constexpr double kMuchStolen = 0.01;       // of the CPUs' time
constexpr double kDearClock = 0.005;       // of a decode step

/// Of what was measured to be the same in every repetition, or should be.
void warn_of_lengths(const CaseMeasurement& m, const GenerationRequest& request, bool exact, const GptConfig& config,
                     std::vector<std::string>& warnings) {
  const int64_t wanted = request.max_tokens.value_or(0), found = m.engine.result.steps;
  if (exact && found < wanted) {
    warnings.push_back(fmt::format("generated {} of {} tokens: rows ended early; set sampler.stop: false where the length "
                                   "matters",
                                   found, wanted));
  }
  if (static_cast<int64_t>(request.prompt.size()) + found > config.sequence_len) {
    warnings.push_back(fmt::format(
        "goes past position {}, the longest the model was trained on: its text there means little; shorten the "
        "prompt or sampler.max_tokens if the text matters",
        config.sequence_len));
  }
}

/// Of a clock that is no longer small beside what it measures.
void warn_of_clock(const CaseMeasurement& m, double harness_step_ns, std::vector<std::string>& warnings) {
  std::vector<double> gaps;
  for (const Sample& sample : m.engine.samples) gaps.insert(gaps.end(), sample.itl_ns.begin(), sample.itl_ns.end());
  const std::optional<double> step = median(gaps);
  if (!step || harness_step_ns <= kDearClock * *step) return;
  warnings.push_back(fmt::format("measuring takes {:.1f} % of a decode step: believe differences well above that, or take "
                                 "a larger model",
                                 100 * harness_step_ns / std::max(*step, 1.0)));
}

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

std::vector<std::string> disturbance_warnings(const MachineFacts& facts, const LoadSnapshot& before,
                                              const LoadSnapshot& after, double seconds) {
  std::vector<std::string> warnings;
  if (before.steal_ns.has_value() && after.steal_ns.has_value() && seconds > 0) {
    const double share = 1e-9 * static_cast<double>(*after.steal_ns - *before.steal_ns) / (seconds * facts.cores);
    if (share > kMuchStolen) {
      warnings.push_back(
          fmt::format("the hypervisor took {:.1f} % of the CPUs' time during the run: believe ratios of turns rather than "
                      "times, or measure on a machine of your own",
                      100 * share));
    }
  }
  if (before.throttles.has_value() && after.throttles.has_value() && *after.throttles > *before.throttles) {
    warnings.push_back(
        fmt::format("CPUs were slowed down {} times for heat or power during the run (throttling): cool the machine, or "
                    "lower its clock for good, and repeat",
                    *after.throttles - *before.throttles));
  }
  return warnings;
}

std::vector<std::string> case_warnings(const CaseMeasurement& m, const GenerationRequest& request, bool exact_lengths,
                                       const GptConfig& config, double harness_step_ns) {
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
  warn_of_lengths(m, request, exact_lengths, config, warnings);
  warn_of_clock(m, harness_step_ns, warnings);
  return warnings;
}

std::string inconclusive_warning(const std::string& explanation) {
  return fmt::format(
      "verification is inconclusive: {}; the speed-up counts as unverified, a checkpoint with trained weights would "
      "decide it",
      explanation);
}

std::string fresh_warning(const std::string& why) {
  return fmt::format("its repetitions were not held against a fresh engine, which failed: {}", why);
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
