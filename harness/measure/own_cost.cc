#include "harness/measure/own_cost.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "harness/measure/clocked_call.h"

namespace kvproof {
namespace {

constexpr int64_t kCountedSteps = 1024;
constexpr int kCalls = 8;

/// Announces steps, and computes nothing.
class IdleSubject final : public Subject {
 public:
  SubjectInfo info() const override { return {}; }
  LogitRows uncached_logits(const std::vector<TokenId>&, int64_t, StageSink*) override { return {}; }
  std::unique_ptr<SubjectCache> new_cache(int64_t, int64_t) override { return nullptr; }

  GenerationResult generate(Path, const GenerationRequest& request, GenerationObserver* observer) override {
    const auto rows = static_cast<std::size_t>(request.num_samples);
    GenerationStep step{0, std::vector<int64_t>(rows), std::vector<TokenId>(rows, 0), std::vector<int>(rows, 1)};
    std::iota(step.rows.begin(), step.rows.end(), 0);
    for (; step.step < *request.max_tokens; ++step.step) {
      observer->on_forward(request.num_samples);
      observer->on_step(step);
    }
    return {};
  }
};

}  // namespace

double own_step_ns(int64_t rows, Probe& probe) {
  IdleSubject idle;
  GenerationRequest request;
  request.prompt = {0};
  request.max_tokens = kCountedSteps;
  request.num_samples = rows;
  double best = std::numeric_limits<double>::max();
  for (int call = 0; call < kCalls; ++call) {
    const Sample sample = clocked_call(idle, Path::engine, request, probe).sample;
    best = std::min(best, static_cast<double>(sample.decode_ns()) / static_cast<double>(sample.itl_ns.size()));
  }
  return best;
}

}  // namespace kvproof
