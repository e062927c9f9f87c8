#include "harness/measure/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

#include "engine/error.h"
#include "engine/model/cost_model.h"
#include "harness/machine/peaks/read_memory.h"
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
constexpr int kFewestCalibrations = 3;
constexpr int kMostCalibrations = 100;
constexpr int64_t kCalibrationNs = 300'000'000;  // small models go on: of three short calls all may be disturbed
constexpr double kOpenings = 2;                  // of a group's engine: the one that is timed, and a fresh one
constexpr double kWarmupRounds = 3;              // what most cases take
constexpr double kReferenceSlowdown = 4;         // float64 against float32 on the CPU, roughly

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
  const int64_t start = probe.now_ns();
  const auto goes_on = [&](int done) {
    return done < kFewestCalibrations || (done < kMostCalibrations && probe.now_ns() - start < kCalibrationNs);
  };
  for (int repeat = 0; goes_on(repeat); ++repeat) {
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

namespace {

/// As choose_repetitions will, once it has timed the warm-up.
int64_t auto_repetitions(double round_s) {
  const RepetitionPolicy policy;
  const double fit = 1e-9 * static_cast<double>(policy.budget_ns) / round_s;
  return static_cast<int64_t>(std::clamp(fit, static_cast<double>(policy.least), static_cast<double>(policy.most)));
}

/// Long rounds spend the warm-up's time before times are seen to have settled.
double warmup_rounds(double round_s) {
  const RepetitionPolicy policy;
  const auto least = static_cast<double>(policy.warmup_rounds);
  return least * round_s < 1e-9 * static_cast<double>(policy.warmup_ns) ? kWarmupRounds : least;
}

/// What the case takes without its share of the group's verification.
void count_repetitions(PlannedCase& planned, int64_t repetitions) {
  planned.repetitions = repetitions;
  planned.measured_s = planned.warm_s + static_cast<double>(repetitions) * planned.round_s;
  planned.estimated_s = planned.besides_s + planned.measured_s;
}

/// The verified cases share the verification of their group by the time that each takes to measure.
void add_verification(const PlannedVerification& verification, std::vector<PlannedCase>& cases) {
  double measured_s = 0, verified_s = 0;
  for (const std::size_t index : verification.cases) {
    measured_s += cases[index].measured_s;
    if (cases[index].verified) verified_s += cases[index].measured_s;
  }
  const double seconds = estimated_verification_s(verification.info, verification.depth, measured_s);
  for (const std::size_t index : verification.cases) {
    if (cases[index].verified) cases[index].estimated_s += seconds * cases[index].measured_s / verified_s;
  }
}

}  // namespace

PlannedCase estimate_case(const Case& cell, const Prompt& given, const GptConfig& config, const ForwardRate& rate) {
  const int64_t prompt = given.size(), N = cell.sampler.max_tokens, B = cell.sampler.num_samples;
  PlannedCase planned{cell.id, shape_label(given, N), prompt, N, B};
  planned.naive_token_forwards = B * naive_token_forwards(prompt, N);
  planned.engine_token_forwards = engine_token_forwards(prompt - given.depth, N, B);

  const bool logits_at_all = cell.naive.logits == "all";
  const PathFlops flops = path_flops(config, logits_at_all, prompt, given.depth, std::vector<int64_t>(B, N));
  const auto seconds = [&](int64_t forwards, double work) {
    const auto steps = static_cast<double>(forwards);
    return steps * rate.step_s + std::max(0.0, work - steps * flops_per_token(config, 0, true)) / rate.flops_per_s;
  };
  const double naive_s = seconds(N, flops.naive), engine_s = seconds(N, flops.engine);
  const auto forward_s = [&](int64_t tokens, bool all) { return seconds(1, flops_of_forward(config, 0, tokens, all)); };

  planned.round_s = naive_s + engine_s;
  planned.warm_s = (1 + warmup_rounds(planned.round_s)) * planned.round_s;
  planned.besides_s = rate.load_s + engine_s + static_cast<double>(B) * forward_s(prompt, logits_at_all);
  planned.verified = cell.run.verify != "off";
  if (planned.verified) {
    const int64_t rows = cell.run.verify == "full" ? B : std::min(B, kQuickRows);
    const bool half = cell.run.dtype == "bfloat16" || cell.run.dtype == "float16";
    planned.besides_s += static_cast<double>(rows) * forward_s(prompt + N, true) * (1 + kReferenceSlowdown);
    planned.besides_s += engine_s * (1 + (half ? kReferenceSlowdown : 0));
  }
  if (!cell.run.repetitions) planned.auto_repetitions = auto_repetitions(planned.round_s);
  count_repetitions(planned, cell.run.repetitions ? *cell.run.repetitions : *planned.auto_repetitions);
  return planned;
}

double Plan::estimated_s() const {
  double sum = 0;
  for (const PlannedCase& each : cases) sum += each.estimated_s;
  return sum;
}

Plan with_at_most(Plan plan, int64_t repetitions) {
  for (PlannedCase& each : plan.cases)
    count_repetitions(each, each.auto_repetitions ? std::min(*each.auto_repetitions, repetitions) : each.repetitions);
  for (const PlannedVerification& verification : plan.verifications) add_verification(verification, plan.cases);
  return plan;
}

namespace {

double seconds_since(int64_t before, Probe& probe) { return 1e-9 * static_cast<double>(probe.now_ns() - before); }

bool measures_peaks(const LoadedConfig& config, const CaseGroup& group, const GroupEngine& engine,
                    const SubjectInfo& info) {
  const auto wants = [&](std::size_t index) { return config.cases[index].run.peaks; };
  const bool any = std::any_of(group.cases.begin(), group.cases.end(), wants);
  return any && engine.knows_costs() && why_no_peaks(info).empty();
}

/// Each measurement of peaks takes fresh memory, for reading out of cache. A virtual machine that gives unused memory back
/// to its host waits long for it: 0.2 s a GiB where it was in use a moment ago, 2.5 s where not, on the same machine.
double fresh_memory_s(Probe& probe) {
  const int64_t bytes = out_of_cache_set(machine_facts(), available_memory_bytes()).bytes;
  const int64_t before = probe.now_ns();
  try {
    const ReadMemory memory(bytes);
  } catch (const std::bad_alloc&) {
    return 0;  // the run goes without peaks
  }
  return seconds_since(before, probe);
}

std::optional<Depth> depth_of(const LoadedConfig& config, const CaseGroup& group) {
  std::vector<const Case*> cases;
  for (const std::size_t index : group.cases) cases.push_back(&config.cases[index]);
  return deepest(cases);
}

}  // namespace

Plan plan_config(const LoadedConfig& config) {
  Plan plan;
  plan.cases.resize(config.cases.size());
  MachineProbe probe;
  ThreadScope threads;
  std::optional<double> memory_s;  // the same for all groups
  for (const std::size_t checkpoint : used_checkpoints(config)) {
    const CheckpointSpec& spec = config.config.checkpoints[checkpoint];
    int64_t before = probe.now_ns();
    const CheckpointSession session = open_session(spec);
    double open_s = seconds_since(before, probe);  // the first group's first case pays for it
    for (const CaseGroup& group : group_cases(config, checkpoint)) {
      threads.use(group.run.threads);
      before = probe.now_ns();
      const auto engine = open_group_engine(spec, session, group.run, {});
      const double load_s = seconds_since(before, probe);
      Subject& subject = engine->subject(LogitsAt::last);
      const SubjectInfo info = subject.info();
      ForwardRate rate = calibrate(subject, engine->config(), probe);
      rate.load_s = open_s + kOpenings * load_s;  // and for these
      if (measures_peaks(config, group, *engine, info)) {
        if (!memory_s) memory_s = fresh_memory_s(probe);
        rate.load_s += 2 * (kPeaksSeconds + *memory_s);  // before and after its cases
      }
      for (const std::size_t index : group.cases) {
        const Case& cell = config.cases[index];
        const Prompt prompt =
            resolve_prompt(config.config.prompts[cell.prompt], session.tokenizer_or_null(), info.vocab_size);
        check_capacity(cell, prompt.size(), info.rotary_len);
        plan.cases[index] = estimate_case(cell, prompt, engine->config(), rate);
        rate.load_s = 0;
      }
      if (const auto depth = depth_of(config, group)) plan.verifications.push_back({info, *depth, group.cases});
      open_s = 0;
    }
  }
  return with_at_most(std::move(plan), RepetitionPolicy{}.most);
}

}  // namespace kvproof
