#include "harness/measure/clocked_call.h"

#include <ATen/core/Tensor.h>

#include <numeric>
#include <utility>

#include "harness/record/record.h"

namespace kvproof {
namespace {

/// Reads the clock before it does anything else, so that its own book-keeping falls into the next gap.
class ClockedObserver final : public GenerationObserver {
 public:
  ClockedObserver(const Subject& subject, const GenerationRequest& request, Probe& probe)
      : subject_(subject), probe_(probe), streams_(request.num_samples) {
    const auto steps = static_cast<std::size_t>(request.max_tokens.value_or(0));
    step_at_.reserve(steps);
    for (TokenStream& stream : streams_) {
      stream.tokens.reserve(steps);
      stream.masks.reserve(steps);
    }
  }

  void on_forward(int64_t positions) override {
    forward_at_ = now();
    const std::optional<int64_t> own = subject_.own_forward_ns();
    if (positions_ == 0) {
      first_forward_at_ = forward_at_;
      prefill_positions_ = positions;
      own_prefill_ns_ = own;
    } else {
      own_decode_ns_ += own.value_or(0);
    }
    positions_ += positions;
  }

  void on_first_logits(const at::Tensor& logits) override {
    const int64_t begin = probe_.now_ns();
    const at::Tensor host = logits.cpu().contiguous();
    first_logits_ = xxh128_of(host.const_data_ptr(), host.nbytes());
    left_out_ns_ = probe_.now_ns() - begin;
  }

  bool on_step(const GenerationStep& step) override {
    const int64_t at = now();
    step_at_.push_back(at);
    sampling_ns_ += at - forward_at_;
    for (std::size_t i = 0; i < step.rows.size(); ++i) {
      streams_[step.rows[i]].tokens.push_back(step.tokens[i]);
      streams_[step.rows[i]].masks.push_back(step.masks[i]);
    }
    return true;
  }

  void fill(ClockedCall& call, int64_t start) {
    if (step_at_.empty()) return;
    Sample& sample = call.sample;
    sample.e2e_ns = step_at_.back() - start;
    sample.ttft_ns = step_at_.front() - start;
    sample.prefill_ns = first_forward_at_ - start;
    sample.sampling_ns = sampling_ns_;
    for (std::size_t i = 1; i < step_at_.size(); ++i) sample.itl_ns.push_back(step_at_[i] - step_at_[i - 1]);
    if (own_prefill_ns_) {
      sample.own_prefill_ns = own_prefill_ns_;
      sample.own_decode_ns = own_decode_ns_;
    }
    sample.first_logits = std::move(first_logits_);
    call.streams = std::move(streams_);
    call.prefill_positions = prefill_positions_;
    call.observed_forwards = positions_;
  }

 private:
  int64_t now() { return probe_.now_ns() - left_out_ns_; }

  const Subject& subject_;
  Probe& probe_;
  std::optional<int64_t> own_prefill_ns_;
  int64_t own_decode_ns_ = 0, left_out_ns_ = 0;
  std::string first_logits_;
  std::vector<TokenStream> streams_;
  std::vector<int64_t> step_at_;
  int64_t forward_at_ = 0, first_forward_at_ = 0, sampling_ns_ = 0, positions_ = 0, prefill_positions_ = 0;
};

}  // namespace

int64_t Sample::decode_ns() const { return std::accumulate(itl_ns.begin(), itl_ns.end(), int64_t{0}); }

ClockedCall clocked_call(Subject& subject, Path path, const GenerationRequest& request, Probe& probe) {
  ClockedObserver observer(subject, request, probe);
  ClockedCall call;
  const std::optional<int64_t> steal = probe.steal_ns();
  const int64_t cpu = probe.cpu_ns(), switches = probe.context_switches(), start = probe.now_ns();
  call.result = subject.generate(path, request, &observer);
  if (probe.sees_engine()) {
    call.sample.cpu_ns = probe.cpu_ns() - cpu;
    call.sample.context_switches = probe.context_switches() - switches;
  }
  if (steal) call.sample.steal_ns = probe.steal_ns().value_or(*steal) - *steal;
  observer.fill(call, start);
  return call;
}

}  // namespace kvproof
