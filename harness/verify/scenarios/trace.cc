#include "harness/verify/scenarios/trace.h"

#include <algorithm>
#include <set>

namespace kvproof {
namespace {

constexpr int64_t kMostNumbers = int64_t{1} << 26;  // of all traces kept: 512 MiB
constexpr int64_t kMostLogits = int64_t{1} << 22;   // of one trace: 32 MiB

// Collects the stages of one uncached row.
class StageCollector final : public StageSink {
 public:
  std::map<std::pair<Stage, int64_t>, TracedValues> stages;

  void on_stage(const StageValues& values) override {
    TracedValues& traced = stages[{values.stage, values.layer}];
    traced.width = values.width;
    traced.exact.assign(values.values.begin(), values.values.end());
  }
};

// All positions, or as many as memory allows: both ends, both sides of each window, and evenly between.
std::vector<int64_t> kept_positions(int64_t tokens, const SubjectInfo& info) {
  const int64_t most = std::max<int64_t>(16, kMostLogits / info.vocab_size);
  std::set<int64_t> kept;
  const int64_t stride = tokens <= most ? 1 : (2 * tokens + most - 1) / most;
  for (int64_t p = 0; p < tokens; p += stride) kept.insert(p);
  if (stride > 1) {
    for (int64_t p = std::max<int64_t>(0, tokens - 8); p < tokens; ++p) kept.insert(p);
    for (const int64_t window : info.windows) {
      for (int64_t p = window - 1; p <= window + 2; ++p)
        if (p >= 0 && p < tokens) kept.insert(p);
    }
  }
  return {kept.begin(), kept.end()};
}

}  // namespace

std::span<const double> Trace::logits_at(int64_t position) const {
  const auto found = std::lower_bound(positions.begin(), positions.end(), position);
  if (found == positions.end() || *found != position) return {};
  return logits.at(found - positions.begin());
}

int64_t Trace::numbers() const {
  auto n = static_cast<int64_t>(logits.exact.size());
  for (const auto& [at, values] : stages) n += static_cast<int64_t>(values.exact.size());
  return n;
}

std::unique_ptr<Trace> TraceBank::make(const Tokens& tokens) {
  auto trace = std::make_unique<Trace>();
  trace->tokens = tokens;
  trace->positions = kept_positions(static_cast<int64_t>(tokens.size()), naive_.info());
  if (trace->positions.size() < tokens.size()) ++sampled_;

  StageCollector exact, naive;
  const auto keep = [&](const LogitRows& all) {
    std::vector<double> kept;
    for (const int64_t position : trace->positions) {
      const auto row = all.at(position);
      kept.insert(kept.end(), row.begin(), row.end());
    }
    return kept;
  };
  const auto finish = [&](TracedValues& values, std::span<const double> of_naive, const Gate& gate) {
    if (exact_) values.naive_error = max_distance(of_naive, values.exact);
    values.allowed = gate.allowed(values.naive_error, max_magnitude(values.exact));
  };
  // Few numbers make up a stage, so the largest error of two equal paths may differ by more than logits' do.
  const Gate of_stages{gate_.dtype, std::max(gate_.factor, kErrorRatioGate)};
  {
    const LogitRows logits = (exact_ ? *exact_ : naive_).uncached_logits(tokens, 0, &exact);
    trace->logits.width = logits.vocab;
    trace->logits.exact = keep(logits);
  }
  std::vector<double> naive_logits;
  if (exact_) naive_logits = keep(naive_.uncached_logits(tokens, 0, &naive));
  finish(trace->logits, naive_logits, gate_);
  trace->stages = std::move(exact.stages);
  for (auto& [at, values] : trace->stages)
    finish(values, exact_ ? naive.stages[at].exact : std::vector<double>(), of_stages);
  return trace;
}

const Trace& TraceBank::of(const Tokens& tokens) {
  const auto begins = [&](const std::unique_ptr<Trace>& trace) {
    return trace->tokens.size() >= tokens.size() && std::equal(tokens.begin(), tokens.end(), trace->tokens.begin());
  };
  const auto found = std::find_if(traces_.begin(), traces_.end(), begins);
  if (found != traces_.end()) {
    traces_.splice(traces_.begin(), traces_, found);
  } else {
    traces_.push_front(make(tokens));
    int64_t numbers = 0;
    for (const auto& trace : traces_) numbers += trace->numbers();
    for (; traces_.size() > 1 && numbers > kMostNumbers; traces_.pop_back()) numbers -= traces_.back()->numbers();
  }
  return *traces_.front();
}

}  // namespace kvproof
