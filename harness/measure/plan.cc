#include "harness/measure/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.h"
#include "engine/model/cost_model.h"
#include "harness/measure/checkpoint_session.h"
#include "harness/measure/group_engine.h"
#include "harness/measure/grouping.h"
#include "harness/measure/metrics.h"
#include "harness/measure/repetitions.h"
#include "harness/measure/run_peaks.h"
#include "harness/measure/threads.h"
#include "harness/measure/verification.h"
#include "harness/subject/subject.h"
#include "harness/verify/teacher_force.h"

namespace kvproof {
namespace {

constexpr int64_t kCalibrationPrompt = 64;
constexpr int64_t kCalibrationSteps = 8;
constexpr double kWarmupRounds = 3;       // what most cases take
constexpr double kReferenceSlowdown = 4;  // float64 against float32 on the CPU, roughly

class Fastest {
 public:
  void add(int64_t ns) { best_ = std::min(best_, static_cast<double>(ns)); }
  double seconds() const { return 1e-9 * std::max(best_, 1.0); }

 private:
  double best_ = std::numeric_limits<double>::max();
};

void check_capacity(const Case& cell, int64_t prompt, int64_t rotary_len) {
  const int64_t needed = prompt + cell.sampler.max_tokens - 1;
  if (needed <= rotary_len) return;
  throw CapacityError(
      cell.id, fmt::format("a prompt of {} and sampler.max_tokens {} need {} positions, the rotary tables hold {}; "
                           "shorten one of them",
                           prompt, cell.sampler.max_tokens, needed, rotary_len));
}

}  // namespace

ForwardRate calibrate(Subject& subject, const GptConfig& config, Probe& probe) {
  const SubjectInfo info = subject.info();
  const int64_t prompt = std::min(kCalibrationPrompt, info.rotary_len - kCalibrationSteps);
  std::vector<TokenId> tokens;
  for (int64_t i = 0; i < prompt; ++i) tokens.push_back(static_cast<TokenId>(i % info.vocab_size));
  Fastest prefill, step;
  for (int repeat = 0; repeat < 3; ++repeat) {
    const auto cache = subject.new_cache(1, prompt + kCalibrationSteps);
    int64_t before = probe.now_ns();
    cache->forward(TokenBatch::single(tokens), LogitsAt::last);
    prefill.add(probe.now_ns() - before);
    for (int64_t i = 0; i < kCalibrationSteps; ++i) {
      before = probe.now_ns();
      cache->forward(TokenBatch::column({tokens[0]}), LogitsAt::last);
      step.add(probe.now_ns() - before);
    }
  }
  const double flops = flops_of_forward(config, 0, prompt, false);
  const double beyond = prefill.seconds() - step.seconds();
  // Where 64 tokens cost no more than one, the whole prefill is the only rate there is.
  return {0, step.seconds(), flops / (beyond > 0 ? beyond : prefill.seconds())};
}

PlannedCase estimate_case(const Case& cell, const Prompt& given, const GptConfig& config, const ForwardRate& rate) {
  const int64_t prompt = given.size(), N = cell.sampler.max_tokens, B = cell.sampler.num_samples;
  PlannedCase planned{cell.id, shape_label(given, N), prompt, N, B};
  planned.naive_token_forwards = B * naive_token_forwards(prompt, N);
  planned.engine_token_forwards = engine_token_forwards(prompt - given.depth, N, B);

  const PathFlops flops = path_flops(config, cell.naive.logits == "all", prompt, given.depth, std::vector<int64_t>(B, N));
  const auto steps = static_cast<double>(N);
  const double one_token = flops_per_token(config, 0, true) * steps;
  const auto seconds = [&](double work) {
    return steps * rate.step_s + std::max(0.0, work - one_token) / rate.flops_per_s;
  };
  const double naive_s = seconds(flops.naive), engine_s = seconds(flops.engine), round_s = naive_s + engine_s;

  const RepetitionPolicy policy;
  const double fit = 1e-9 * static_cast<double>(policy.budget_ns) / round_s;
  const double automatic = std::clamp(fit, static_cast<double>(policy.least), static_cast<double>(policy.most));
  const double repetitions = cell.run.repetitions ? static_cast<double>(*cell.run.repetitions) : std::floor(automatic);
  planned.measured_s = (1 + kWarmupRounds + repetitions) * round_s;
  planned.estimated_s = rate.load_s + planned.measured_s;
  if (cell.run.verify != "off") {
    const int64_t rows = cell.run.verify == "full" ? B : std::min(B, kQuickRows);
    const double uncached = flops_of_forward(config, 0, prompt + N, true) / rate.flops_per_s + rate.step_s;
    const bool half = cell.run.dtype == "bfloat16" || cell.run.dtype == "float16";
    planned.estimated_s += static_cast<double>(rows) * uncached * (1 + kReferenceSlowdown);
    planned.estimated_s += engine_s * (1 + (half ? kReferenceSlowdown : 0));
  }
  return planned;
}

namespace {

/// Measuring the peaks before and after a group's cases.
double peaks_s(const LoadedConfig& config, const CaseGroup& group, const GroupEngine& engine, const SubjectInfo& info) {
  const auto wants = [&](std::size_t index) { return config.cases[index].run.peaks; };
  const bool any = std::any_of(group.cases.begin(), group.cases.end(), wants);
  return any && engine.knows_costs() && why_no_peaks(info).empty() ? 2 * kPeaksSeconds : 0;
}

/// The verified cases share the verification of their group by the time that each takes to measure.
void add_verification(const LoadedConfig& config, const CaseGroup& group, const SubjectInfo& info,
                      std::vector<PlannedCase>& planned) {
  double measured_s = 0, verified_s = 0;
  std::vector<const Case*> cases;
  for (const std::size_t index : group.cases) {
    cases.push_back(&config.cases[index]);
    measured_s += planned[index].measured_s;
    if (cases.back()->run.verify != "off") verified_s += planned[index].measured_s;
  }
  const auto depth = deepest(cases);
  if (!depth) return;
  const double seconds = estimated_verification_s(info, *depth, measured_s);
  for (const std::size_t index : group.cases) {
    if (config.cases[index].run.verify != "off")
      planned[index].estimated_s += seconds * planned[index].measured_s / verified_s;
  }
}

}  // namespace

std::vector<PlannedCase> plan_config(const LoadedConfig& config) {
  std::vector<PlannedCase> planned(config.cases.size());
  MachineProbe probe;
  ThreadScope threads;
  for (const std::size_t checkpoint : used_checkpoints(config)) {
    const CheckpointSpec& spec = config.config.checkpoints[checkpoint];
    const CheckpointSession session = open_session(spec);
    for (const CaseGroup& group : group_cases(config, checkpoint)) {
      threads.use(group.run.threads);
      const int64_t before = probe.now_ns();
      const auto engine = open_group_engine(spec, session, group.run, {});
      const double load_s = 1e-9 * static_cast<double>(probe.now_ns() - before);
      Subject& subject = engine->subject(LogitsAt::last);
      const SubjectInfo info = subject.info();
      ForwardRate rate = calibrate(subject, engine->config(), probe);
      rate.load_s = load_s + peaks_s(config, group, *engine, info);  // the group's first case pays for it
      for (const std::size_t index : group.cases) {
        const Case& cell = config.cases[index];
        const Prompt prompt =
            resolve_prompt(config.config.prompts[cell.prompt], session.tokenizer_or_null(), info.vocab_size);
        check_capacity(cell, prompt.size(), info.rotary_len);
        planned[index] = estimate_case(cell, prompt, engine->config(), rate);
        rate.load_s = 0;
      }
      add_verification(config, group, info, planned);
    }
  }
  return planned;
}

}  // namespace kvproof
