#include "harness/verify/scenarios/trace.h"

#include <algorithm>
#include <optional>
#include <set>

namespace kvproof {
namespace {

constexpr int64_t kMostNumbers = int64_t{1} << 26;  // of all traces kept: 512 MiB
constexpr int64_t kMostLogits = int64_t{1} << 22;   // of one trace: 32 MiB

using Stages = std::map<std::pair<Stage, int64_t>, TracedValues>;

// Collects the stages of one uncached row.
class UncachedStages final : public StageSink {
 public:
  Stages stages;

  void on_stage(const StageValues& values) override {
    TracedValues& traced = stages[{values.stage, values.layer}];
    traced.width = values.width;
    traced.exact.assign(values.values.begin(), values.values.end());
  }
};

// All positions, or as many as memory allows: both ends, both sides of each window, and evenly between.
std::vector<int64_t> kept_positions(int64_t tokens, const SubjectInfo& info) {
  const bool dear = !info.can.has(Ability::all_logits);  // a request each
  const int64_t most = dear ? kRequestsOfATrace : std::max<int64_t>(16, kMostLogits / info.vocab_size);
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

/// Keys and values of the first `count` positions as one prefill leaves them; nothing where the subject does not show them.
Stages slots_of_prefill(Subject& subject, const Tokens& tokens, int64_t count) {
  const SubjectInfo info = subject.info();
  if (!info.can.has(Ability::read_slots)) return {};
  const auto cache = subject.new_cache(1, static_cast<int64_t>(tokens.size()));
  cache->forward(TokenBatch::single(tokens), LogitsAt::last);
  Stages stages;
  for (int64_t layer = 0; layer < info.n_layer; ++layer) {
    auto slots = cache->contents(0, layer, 0, count);
    if (!slots) return {};
    const int64_t width = slots->kv_heads * slots->head_dim;
    stages[{Stage::key, layer}] = {width, std::move(slots->keys), slots->present};
    stages[{Stage::value, layer}] = {width, std::move(slots->values), slots->present};
  }
  return stages;
}

Tokens with_one_more(Tokens tokens) {
  tokens.push_back(tokens.front());
  return tokens;
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

/// What one subject gave for a sequence.
struct TraceBank::Pass {
  std::vector<double> logits;  // of the trace's positions
  int64_t vocab = 0;
  Stages stages;
  bool from_slots = false;
};

TraceBank::Pass TraceBank::pass_over(Subject& subject, const Trace& trace, const Tokens& tokens) const {
  Pass pass;
  UncachedStages collector;
  const auto keep = [&](const LogitRows& rows, int64_t position) {
    const auto row = rows.at(position);
    pass.vocab = rows.vocab;
    pass.logits.insert(pass.logits.end(), row.begin(), row.end());
  };
  if (subject.info().can.has(Ability::all_logits)) {
    const LogitRows all = subject.uncached_logits(tokens, 0, &collector);
    for (const int64_t position : trace.positions) keep(all, position);
  } else {
    for (const int64_t position : trace.positions)
      keep(subject.uncached_logits({tokens.begin(), tokens.begin() + position + 1}, position), position);
  }
  pass.stages = std::move(collector.stages);
  pass.from_slots = pass.stages.empty();
  if (pass.from_slots) pass.stages = slots_of_prefill(subject, tokens, static_cast<int64_t>(trace.tokens.size()));
  return pass;
}

std::unique_ptr<Trace> TraceBank::make(const Tokens& tokens) {
  auto trace = std::make_unique<Trace>();
  trace->tokens = tokens;
  trace->positions = kept_positions(static_cast<int64_t>(tokens.size()), naive_.info());
  if (trace->positions.size() < tokens.size()) ++sampled_;

  Pass reference = pass_over(exact_ ? *exact_ : naive_, *trace, tokens);
  std::optional<Pass> other;  // its distance from the reference is what rounding does
  if (exact_)
    other = pass_over(naive_, *trace, tokens);
  else if (!gate_.exact() && static_cast<int64_t>(tokens.size()) < naive_.info().rotary_len)
    other = pass_over(naive_, *trace, with_one_more(tokens));

  const auto finish = [&](TracedValues& values, std::span<const double> of_other, const Gate& gate) {
    if (of_other.size() == values.exact.size()) values.naive_error = max_distance(of_other, values.exact);
    values.allowed = gate.allowed(values.naive_error, max_magnitude(values.exact));
  };
  // Few numbers make up a stage, so the largest error of two equal paths may differ by more than logits' do.
  const Gate of_stages{gate_.dtype, std::max(gate_.factor, kErrorRatioGate)};
  trace->logits.width = reference.vocab;
  trace->logits.exact = std::move(reference.logits);
  finish(trace->logits, other ? other->logits : std::vector<double>(), gate_);
  trace->stages = std::move(reference.stages);
  trace->from_slots = reference.from_slots;
  for (auto& [at, values] : trace->stages)
    finish(values, other ? other->stages[at].exact : std::vector<double>(), of_stages);
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
