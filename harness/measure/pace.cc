#include "harness/measure/pace.h"

#include <algorithm>
#include <vector>

#include "engine/error.h"
#include "harness/measure/probe.h"
#include "harness/verify/verdict/suite.h"

namespace kvproof {
namespace {

constexpr int64_t kPrompt = 4, kSteps = 6;

double seconds_since(Probe& probe, int64_t begin) { return 1e-9 * static_cast<double>(probe.now_ns() - begin); }

double step_seconds(Subject& subject, Probe& probe) {
  const auto cache = subject.new_cache(1, kPrompt + kSteps);
  cache->forward(TokenBatch::single(std::vector<int32_t>(kPrompt, 0)), LogitsAt::last);
  std::vector<double> seconds;
  for (int64_t step = 0; step < kSteps; ++step) {
    const int64_t begin = probe.now_ns();
    cache->forward(TokenBatch::column({0}), LogitsAt::last);
    seconds.push_back(seconds_since(probe, begin));
  }
  std::nth_element(seconds.begin(), seconds.begin() + kSteps / 2, seconds.end());
  return seconds[kSteps / 2];
}

double uncached_seconds_per_token(Subject& subject, Probe& probe) {
  const std::vector<TokenId> tokens(kPrompt, 0);
  subject.uncached_logits(tokens, kPrompt - 1);  // the first one warms up
  const int64_t begin = probe.now_ns();
  subject.uncached_logits(tokens, kPrompt - 1);
  return seconds_since(probe, begin) / kPrompt;
}

}  // namespace

double slowness_of(Subject& subject) {
  constexpr double kUnknown = 10;
  MachineProbe probe;
  const SubjectInfo info = subject.info();
  try {
    double seconds = step_seconds(subject, probe);
    if (info.can.has(Ability::uncached)) seconds = std::max(seconds, uncached_seconds_per_token(subject, probe));
    return std::max(0.1, seconds / estimated_forward_seconds(info));
  } catch (const Error&) {
    return kUnknown;
  }
}

}  // namespace kvproof
