#include "engine/kernels/thread_team.h"

#include <hwy/cache_control.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "engine/error.h"

namespace kvproof::kernels {
namespace {

// How long a thread waits awake. A pause takes 40 to 140 cycles on today's x86, so kPauses are some 20 microseconds; then
// come turns of some 2.5 microseconds before each of which whoever else wants the core may have it. Counted, not timed:
// reading a clock would cost as much as a short barrier does. Sleeping sooner costs more: to wake a core of a virtual
// machine takes 50 to 100 microseconds, and a caller that is woken may find itself on the CPU of who woke it.
constexpr int kPauses = 600, kPausesOfATurn = 64;
constexpr int kTurnsInARun = 4000;      // some 10 milliseconds
constexpr int kTurnsBetweenRuns = 200;  // half a millisecond

// Thrown out of barriers to unwind members whose team has given up; never leaves this file.
struct GivenUp {};

// Returns when `value` is no longer `old`; sleeps after so many turns.
void await_change(const std::atomic<uint32_t>& value, uint32_t old, int turns) {
  const auto changes_within = [&](int pauses) {
    for (int i = 0; i < pauses; ++i) {
      if (value.load(std::memory_order_acquire) != old) return true;
      hwy::Pause();
    }
    return false;
  };
  if (changes_within(kPauses)) return;
  for (int turn = 0; turn < turns; ++turn) {
    std::this_thread::yield();
    if (changes_within(kPausesOfATurn)) return;
  }
  value.wait(old);
}

}  // namespace

Range Member::share(int64_t n, int64_t grain) const {
  const int64_t units = (n + grain - 1) / grain;
  const auto start = [&](int64_t i) { return std::min(n, units * i / size() * grain); };
  return {start(index_), start(index_ + 1)};
}

ThreadTeam::ThreadTeam(int threads, bool pin) : size_(threads), placement_(pin) {
  if (threads < 1) throw ArgumentError("threads", "must be at least 1, got " + std::to_string(threads));
  try {
    for (int i = 1; i < threads; ++i) threads_.emplace_back([this, i] { serve(i); });
  } catch (...) {
    stop_threads();
    throw;
  }
}

ThreadTeam::~ThreadTeam() { stop_threads(); }

void ThreadTeam::stop_threads() {
  closing_ = true;
  generation_.fetch_add(1);
  generation_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadTeam::run_erased(Task task) {
  if (running_) throw std::logic_error("ThreadTeam::run called inside a run of the same team");
  running_ = true;
  placement_.arrange(threads_);
  task_ = task;
  working_.store(static_cast<uint32_t>(size_ - 1), std::memory_order_relaxed);
  if (size_ > 1) {
    generation_.fetch_add(1);
    generation_.notify_all();
  }
  perform(0);
  for (uint32_t left; (left = working_.load()) != 0;) await_change(working_, left, kTurnsInARun);
  running_ = false;
  if (!given_up_.load(std::memory_order_relaxed)) return;
  given_up_.store(false, std::memory_order_relaxed);
  arrived_.store(0, std::memory_order_relaxed);
  std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadTeam::serve(int index) {
  for (uint32_t seen = 0;; ++seen) {
    await_change(generation_, seen, kTurnsBetweenRuns);
    if (closing_) return;
    perform(index);
    if (working_.fetch_sub(1) == 1) working_.notify_one();
  }
}

void ThreadTeam::perform(int index) {
  Member member(*this, index);
  try {
    task_.call(task_.object, member);
  } catch (const GivenUp&) {  // somebody else's exception is on its way
  } catch (...) {
    const std::lock_guard lock(error_mutex_);
    if (!error_) error_ = std::current_exception();
    given_up_.store(true);
    phase_.fetch_add(1);
    phase_.notify_all();
  }
}

void ThreadTeam::barrier() {
  if (size_ == 1) return;
  const uint32_t phase = phase_.load();  // before given_up_: whoever gives up afterwards moves the phase
  if (given_up_.load()) throw GivenUp();
  if (arrived_.fetch_add(1) + 1 == static_cast<uint32_t>(size_)) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.fetch_add(1);
    phase_.notify_all();
    return;
  }
  await_change(phase_, phase, kTurnsInARun);
  if (given_up_.load()) throw GivenUp();
}

}  // namespace kvproof::kernels
