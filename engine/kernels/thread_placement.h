// Where the threads of a team run. Linux only; elsewhere all of this does nothing, and the system's choice stands.
#pragma once

#include <thread>
#include <vector>

namespace kvproof::kernels {

/// Keeps the thread that calls a team's run and the team's other threads on different CPUs. The scheduler does not: where
/// CPUs share no cache, as in many virtual machines, a thread that slept is often woken on the CPU of who woke it, and
/// stays there for some 10 milliseconds. All of it is a wish: where the system refuses, threads run where they run.
class ThreadPlacement {
 public:
  /// pin     binds the i-th of `threads` to the (i + 1)-th CPU that the calling thread may use, for good, and moves the
  ///         caller to the first when it is elsewhere; without it, threads may use all CPUs but the caller's
  explicit ThreadPlacement(bool pin) : pin_(pin) {}

  /// To be called by the caller before each run: asks where the caller runs, and no more unless it has moved.
  /// Does nothing where CPUs are fewer than threads, the caller among them.
  void arrange(std::vector<std::thread>& threads);

 private:
  bool pin_;
  int caller_ = -1;  // CPU of the caller when threads were last arranged; -1: not yet
};

}  // namespace kvproof::kernels
