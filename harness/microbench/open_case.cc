#include "harness/microbench/open_case.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/measure/forced_tokens.h"
#include "harness/workload/workload.h"

namespace kvproof {
namespace {

/// Passes on what a clock needs, and after the first token leaves the generation, or goes on.
class FirstTokenObserver final : public GenerationObserver {
 public:
  FirstTokenObserver(GenerationObserver& clock, Extent extent, const std::function<void()>& at_first_token)
      : clock_(clock), extent_(extent), at_first_token_(at_first_token) {}

  void on_forward(int64_t positions) override { clock_.on_forward(positions); }
  bool on_step(const GenerationStep& step) override {
    const bool goes_on = clock_.on_step(step);  // reads the time first
    if (step.step == 0 && at_first_token_) at_first_token_();
    return goes_on && extent_ == Extent::whole;
  }

 private:
  GenerationObserver& clock_;
  Extent extent_;
  const std::function<void()>& at_first_token_;
};

/// A subject whose generations are watched at their first token.
class FirstTokenSubject final : public Subject {
 public:
  FirstTokenSubject(Subject& subject, Extent extent, const std::function<void()>& at_first_token)
      : subject_(subject), extent_(extent), at_first_token_(at_first_token) {}

  GenerationResult generate(Path path, const GenerationRequest& request, GenerationObserver* clock) override {
    FirstTokenObserver observer(*clock, extent_, at_first_token_);
    return subject_.generate(path, request, &observer);
  }
  SubjectInfo info() const override { return subject_.info(); }
  LogitRows uncached_logits(const std::vector<TokenId>& tokens, int64_t first_position, StageSink* sink) override {
    return subject_.uncached_logits(tokens, first_position, sink);
  }
  std::unique_ptr<SubjectCache> new_cache(int64_t batch, int64_t capacity) override {
    return subject_.new_cache(batch, capacity);
  }
  std::optional<int64_t> own_forward_ns() const override { return subject_.own_forward_ns(); }

 private:
  Subject& subject_;
  Extent extent_;
  const std::function<void()>& at_first_token_;
};

int64_t longest(const std::vector<TokenStream>& streams) {
  std::size_t steps = 0;
  for (const TokenStream& stream : streams) steps = std::max(steps, stream.tokens.size());
  return static_cast<int64_t>(steps);
}

}  // namespace

CallWork work_of(const ClockedCall& call) {
  CallWork work{call.prefill_positions, 0, 0, static_cast<int64_t>(call.sample.itl_ns.size())};
  for (const TokenStream& stream : call.streams) {
    const auto tokens = static_cast<int64_t>(stream.tokens.size());
    work.tokens += tokens;
    work.decoded += std::max<int64_t>(0, tokens - 1);
  }
  return work;
}

OpenCase::OpenCase(const LoadedConfig& config, const Case& cell, const CheckpointSession& session, GroupEngine& engine)
    : subject_(subject_of(engine, cell)),
      probe_(config.config.checkpoints[cell.checkpoint].subject ? static_cast<Probe&>(elsewhere_) : here_) {
  const Tokenizer* tokenizer = session.tokenizer_or_null();
  const Prompt prompt = resolve_prompt(config.config.prompts[cell.prompt], tokenizer, subject_.info().vocab_size);
  for (GenerationRequest& request : requests_) request = request_of(cell, prompt, tokenizer && engine.has_tools());
  const ClockedCall first = call(Path::engine, Extent::whole);
  int64_t forced = 0;
  requests_[0].forced = forced_tokens(first.streams, &forced);
  label_ = shape_label(prompt, longest(first.streams));
  if (first.streams.size() > 1) label_ += fmt::format(" x{}", first.streams.size());
}

const CallWork& OpenCase::settle(Path path, Extent extent) {
  const std::pair kind(path, extent);
  if (settled_ != kind) {
    settled_.reset();
    work_ = work_of(call(path, extent));
    settled_ = kind;
  }
  return work_;
}

ClockedCall OpenCase::call(Path path, Extent extent, const std::function<void()>& at_first_token) {
  FirstTokenSubject watched(subject_, extent, at_first_token);
  return clocked_call(watched, path, requests_[path == Path::engine], probe_);
}

OpenCase& OpenCases::open(std::size_t index) {
  if (case_index_ == index) return *case_;
  case_index_.reset();
  case_.reset();  // it uses the model, which may have to go
  const OpenGroup group = groups_.open(index);
  case_.emplace(config_, config_.cases[index], group.session, group.engine);
  case_index_ = index;
  return *case_;
}

}  // namespace kvproof
