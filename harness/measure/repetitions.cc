#include "harness/measure/repetitions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/model/cost_model.h"
#include "harness/measure/forced_tokens.h"
#include "harness/measure/fresh_engine.h"
#include "harness/stats/stats.h"

namespace kvproof {
namespace {

/// Positions that rows of these lengths must have cost.
int64_t expected_forwards(Path path, int64_t prompt, int64_t kept, const std::vector<TokenStream>& streams) {
  int64_t sum = path == Path::engine ? prompt - kept : 0;
  for (const TokenStream& stream : streams) {
    const auto n = static_cast<int64_t>(stream.tokens.size());
    sum += path == Path::engine ? n - 1 : naive_token_forwards(prompt, n);
  }
  return sum;
}

class CaseClock {
 public:
  CaseClock(Subject& subject, GenerationRequest request, Probe& probe) : subject_(subject), probe_(probe) {
    requests_[0] = request;
    requests_[1] = std::move(request);
  }

  CaseMeasurement& measurement() { return measurement_; }

  void first_call(Path path) {
    const std::string refusal = probe_.reset_peak_rss();
    ClockedCall call = run(path);
    PathMeasurement& m = of(path);
    m.peak_rss_bytes = refusal.empty() ? probe_.peak_rss_bytes() : Fact<int64_t>::unknown(refusal);
    m.first_call = call.sample;
    m.first_call.order = path == Path::engine ? 0 : 1;
    m.result = std::move(call.result);
    m.streams = std::move(call.streams);
    m.prefill_positions = call.prefill_positions;
    check_counts(path, m, call.observed_forwards);
    if (path == Path::engine) {
      requests_[0].forced = forced_tokens(m.streams, &measurement_.replayed_forced_tokens);
    }
  }

  void round(int64_t index, std::vector<Sample> PathMeasurement::*list) {
    for (const int64_t order : {0, 1}) {
      const Path path = (index + order) % 2 == 0 ? Path::naive : Path::engine;
      ClockedCall call = run(path);
      call.sample.repetition = index;
      call.sample.order = order;
      check_repeats(path, call);
      (of(path).*list).push_back(std::move(call.sample));
    }
  }

  /// Puts what earlier processes measured before what this one did.
  void take(EarlierRounds earlier) {
    put_before(std::move(earlier.naive_warmup), Path::naive, &PathMeasurement::warmup);
    put_before(std::move(earlier.engine_warmup), Path::engine, &PathMeasurement::warmup);
    put_before(std::move(earlier.naive), Path::naive, &PathMeasurement::samples);
    put_before(std::move(earlier.engine), Path::engine, &PathMeasurement::samples);
  }

 private:
  void put_before(std::vector<Sample> earlier, Path path, std::vector<Sample> PathMeasurement::*list) {
    PathMeasurement& m = of(path);
    for (const Sample& sample : earlier) {
      if (sample.first_logits != m.first_call.first_logits)
        invalid(fmt::format("{}'s first logits are not, to the bit, those of before the run was cut off",
                            path == Path::naive ? "naive" : "engine"));
    }
    earlier.insert(earlier.end(), (m.*list).begin(), (m.*list).end());
    m.*list = std::move(earlier);
  }

  PathMeasurement& of(Path path) { return path == Path::naive ? measurement_.naive : measurement_.engine; }

  ClockedCall run(Path path) { return clocked_call(subject_, path, requests_[path == Path::engine], probe_); }

  void invalid(const std::string& reason) {
    auto& reasons = measurement_.invalid;
    if (std::find(reasons.begin(), reasons.end(), reason) == reasons.end()) reasons.push_back(reason);
  }

  void check_counts(Path path, const PathMeasurement& m, int64_t observed) {
    const char* name = path == Path::naive ? "naive" : "engine";
    const auto prompt = static_cast<int64_t>(requests_[0].prompt.size());
    const int64_t kept = requests_[0].kept_prefix;
    const int64_t expected = expected_forwards(path, prompt, kept, m.streams);
    if (m.result.token_forwards != expected || observed != expected) {
      invalid(
          fmt::format("{} pushed {} positions through the model ({} of them announced); rows of these lengths take {}",
                      name, m.result.token_forwards, observed, expected));
    }
    const int64_t prefill = path == Path::engine ? prompt - kept : prompt * requests_[0].num_samples;
    if (m.prefill_positions != prefill) {
      invalid(fmt::format("{}'s first forward took {} positions, the prompt has {}: something was left in its cache",
                          name, m.prefill_positions, prefill));
    }
  }

  /// Times of unequal work cannot be averaged.
  void check_repeats(Path path, const ClockedCall& call) {
    for (const std::string& reason : differences(of(path), call, path == Path::naive ? "naive" : "engine")) invalid(reason);
  }

  Subject& subject_;
  Probe& probe_;
  GenerationRequest requests_[2];  // naive, engine
  CaseMeasurement measurement_;
};

double rolling_median(const std::vector<Sample>& rounds, std::size_t end) {
  std::vector<double> window;
  for (std::size_t i = end < 3 ? 0 : end - 3; i < end; ++i) window.push_back(static_cast<double>(rounds[i].e2e_ns));
  return *median(window);
}

/// Tells the listener, if there is one. returns false where it ends the measurement
bool go_on(CaseMeasurement& m, const RepetitionListener& listener, const std::string& stage, int64_t done, int64_t total,
           std::optional<double> seconds_left = {}) {
  if (listener && !listener(stage, done, total, seconds_left)) m.interrupted = true;
  return !m.interrupted;
}

/// Rounds until both paths are steady. returns whether they became so
bool warm_up(CaseClock& clock, const RepetitionPolicy& policy, Probe& probe, const RepetitionListener& listener) {
  const int64_t start = probe.now_ns();
  CaseMeasurement& m = clock.measurement();
  for (int64_t round = 0; round < policy.warmup_most; ++round) {
    if (round >= policy.warmup_rounds) {
      if (is_steady(m.naive.warmup, policy.steady) && is_steady(m.engine.warmup, policy.steady)) return true;
      if (probe.now_ns() - start >= policy.warmup_ns) return false;
    }
    if (!go_on(m, listener, "warm-up", round, policy.warmup_most)) return false;
    clock.round(round, &PathMeasurement::warmup);
  }
  return is_steady(m.naive.warmup, policy.steady) && is_steady(m.engine.warmup, policy.steady);
}

int64_t choose_repetitions(const CaseMeasurement& m, const RepetitionPolicy& policy) {
  if (policy.repetitions) return *policy.repetitions;
  const auto rounds = m.naive.warmup.size();
  if (rounds == 0) return policy.least;
  const double round_ns = rolling_median(m.naive.warmup, rounds) + rolling_median(m.engine.warmup, rounds);
  const double fit = static_cast<double>(policy.budget_ns) / std::max(round_ns, 1.0);
  return static_cast<int64_t>(std::clamp(fit, static_cast<double>(policy.least), static_cast<double>(policy.most)));
}

}  // namespace

bool is_steady(const std::vector<Sample>& rounds, double tolerance) {
  if (rounds.size() < 2) return false;
  const double before = rolling_median(rounds, rounds.size() - 1), now = rolling_median(rounds, rounds.size());
  return std::abs(now - before) <= tolerance * before;
}

namespace {

/// Warms up and measures what is missing of `repetitions`.
void measure_rounds(CaseClock& clock, const RepetitionPolicy& policy, Probe& probe, const RepetitionListener& listener,
                    CaseLog* log, const EarlierRounds& earlier) {
  CaseMeasurement& m = clock.measurement();
  const auto done = static_cast<int64_t>(earlier.naive.size());
  m.steady = earlier.steady;
  if (earlier.repetitions == 0 || done < earlier.repetitions) m.steady &= warm_up(clock, policy, probe, listener);
  if (m.interrupted) return;
  const int64_t repetitions = earlier.repetitions > 0 ? earlier.repetitions : choose_repetitions(m, policy);
  if (log && earlier.repetitions == 0) log->decided(m, repetitions);
  const int64_t start = probe.now_ns();
  for (int64_t repetition = done; repetition < repetitions; ++repetition) {
    const double spent = 1e-9 * static_cast<double>(probe.now_ns() - start);
    const auto left = static_cast<double>(repetitions - repetition);
    const std::optional<double> seconds_left =
        repetition == done ? std::nullopt : std::optional(spent / static_cast<double>(repetition - done) * left);
    if (!go_on(m, listener, "repetition", repetition, repetitions, seconds_left)) return;
    clock.round(repetition, &PathMeasurement::samples);
    if (log) log->round(m.naive.samples.back(), m.engine.samples.back());
  }
}

}  // namespace

CaseMeasurement measure_repetitions(Subject& subject, const GenerationRequest& request, const RepetitionPolicy& policy,
                                    Probe& probe, const RepetitionListener& listener, CaseLog* log) {
  CaseClock clock(subject, request, probe);
  CaseMeasurement& m = clock.measurement();
  if (!go_on(m, listener, "first call", 0, 2)) return std::move(m);
  clock.first_call(Path::engine);
  if (!go_on(m, listener, "first call", 1, 2)) return std::move(m);
  clock.first_call(Path::naive);
  const EarlierRounds earlier = log ? log->begin(m) : EarlierRounds{};
  measure_rounds(clock, policy, probe, listener, log, earlier);
  clock.take(earlier);
  return std::move(m);
}

}  // namespace kvproof
