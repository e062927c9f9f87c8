#include "harness/measure/paired/epoch_clock.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "engine/error.h"

namespace kvproof {
namespace {

constexpr auto kNap = std::chrono::milliseconds(1);
constexpr int64_t kMostNaps = 100;
constexpr int64_t kQuietShare = 20;  // one CPU's time over this

/// Between the two moments of a part: CPU time outside, the wall clock inside, so that reading the one is not in the other.
class PartObserver final : public GenerationObserver {
 public:
  PartObserver(Part part, int64_t steps, Probe& probe) : part_(part), last_step_(steps - 1), probe_(probe) {}

  void call_begins() {
    if (part_ != Part::decode) begin();
  }
  void on_forward(int64_t positions) override {
    if (forwards_++ > 0) return;
    if (part_ == Part::prefill) end();
    first_positions_ = positions;
  }
  bool on_step(const GenerationStep& step) override {
    if (part_ == Part::prefill) return false;  // the first token is in hand, and more is not asked
    if (step.step == last_step_) end();
    if (part_ == Part::decode && step.step == 0) begin();
    return true;
  }

  bool ended() const { return ended_; }
  int64_t wall_ns() const { return wall_ns_; }
  int64_t cpu_ns() const { return cpu_ns_; }
  int64_t first_positions() const { return first_positions_; }

 private:
  void begin() {
    cpu_ns_ = -probe_.cpu_ns();
    wall_ns_ = -probe_.now_ns();
  }
  void end() {
    wall_ns_ += probe_.now_ns();
    cpu_ns_ += probe_.cpu_ns();
    ended_ = true;
  }

  const Part part_;
  const int64_t last_step_;
  Probe& probe_;
  int64_t wall_ns_ = 0, cpu_ns_ = 0, forwards_ = 0, first_positions_ = 0;
  bool ended_ = false;
};

bool same_tokens(const GenerationResult& a, const GenerationResult& b) {
  if (a.rows.size() != b.rows.size()) return false;
  for (std::size_t row = 0; row < a.rows.size(); ++row) {
    if (a.rows[row].tokens != b.rows[row].tokens) return false;
  }
  return true;
}

/// Times of unequal work cannot be added up.
void check_work(const Timed& timed, const ExpectedCalls& expected, const PartObserver& seen,
                const GenerationResult& result) {
  std::string why;
  if (seen.first_positions() != expected.prefill_positions)
    why = fmt::format("its first forward took {} positions, that of the first call {}", seen.first_positions(),
                      expected.prefill_positions);
  else if (timed.part != Part::prefill && !same_tokens(result, expected.result))
    why = "its tokens are not those of the first call";
  else if (timed.part != Part::prefill && result.token_forwards != expected.result.token_forwards)
    why = fmt::format("it pushed {} positions through the model, the first call {}", result.token_forwards,
                      expected.result.token_forwards);
  else if (!seen.ended())
    why = "it ended early";
  if (!why.empty())
    throw Error("measurement", "",
                fmt::format("a generation did not do the work of the first call: {}; kvproof run says "
                            "more",
                            why));
}

}  // namespace

EpochTimes time_epoch(Subject& subject, const Timed& timed, const ExpectedCalls& expected, const EpochLength& length,
                      Probe& probe) {
  const bool decodes = timed.part == Part::decode;
  if (expected.steps < (decodes ? 2 : 1))
    throw ArgumentError("what", fmt::format("{} has nothing to time where {} generated", word_of(timed),
                                            expected.steps == 1 ? "one token was" : "no tokens were"));
  EpochTimes times;
  while (length.calls ? times.calls < *length.calls : times.calls == 0 || times.wall_ns < length.at_least_ns) {
    PartObserver observer(timed.part, expected.steps, probe);
    observer.call_begins();
    const GenerationResult result = subject.generate(timed.path, expected.request, &observer);
    check_work(timed, expected, observer, result);
    ++times.calls;
    times.units += decodes ? expected.steps - 1 : 1;
    times.wall_ns += observer.wall_ns();
    times.cpu_ns += observer.cpu_ns();
  }
  return times;
}

bool wait_until_quiet(Probe& probe) {
  for (int64_t naps = 0; naps < kMostNaps; ++naps) {
    const int64_t cpu = probe.cpu_ns(), wall = probe.now_ns();
    std::this_thread::sleep_for(kNap);
    // A nap and two looks at the clocks take some 20 microseconds of CPU time.
    if ((probe.cpu_ns() - cpu) * kQuietShare <= probe.now_ns() - wall) return true;
  }
  return false;
}

}  // namespace kvproof
