// A few threads that do one piece of work together, again and again: what OpenMP's parallel region does, with barriers
// that cost little inside it and threads that sleep soon after it.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

#include "engine/kernels/thread_placement.h"

namespace kvproof::kernels {

class ThreadTeam;

/// Half-open: [begin, end).
struct Range {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};

/// One thread's place in the work of a team. Lives during ThreadTeam::run, is used by its own thread only.
class Member {
 public:
  /// 0 … size() - 1; 0 is the thread that called run.
  int index() const { return index_; }
  int size() const;
  /// Returns once all members have arrived; what they wrote before is then visible to all. Every member must come to
  /// the same barriers. Spins for some 20 microseconds, then for some 10 milliseconds lets others have the core in
  /// between, then sleeps: members may share a core.
  void barrier();
  /// This member's part of [0, n) in whole multiples of `grain` (but for the end), as even as that allows; parts may be
  /// empty, do not overlap and cover all. Preconditions: n >= 0, grain >= 1.
  Range share(int64_t n, int64_t grain = 1) const;

 private:
  friend class ThreadTeam;
  Member(ThreadTeam& team, int index) : team_(team), index_(index) {}
  ThreadTeam& team_;
  int index_;
};

/// Persistent threads. A team belongs to one thread at a time: run is not re-entrant and not concurrent with itself.
class ThreadTeam {
 public:
  /// `threads` members, of which the caller of run is one: a team of one starts no thread.
  /// pin     binds each thread to a CPU of its own, where there are enough; see ThreadPlacement
  /// throws  ArgumentError: threads < 1; std::system_error: no more threads can be had
  explicit ThreadTeam(int threads, bool pin = false);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return size_; }

  /// Calls work(Member&) on all members at once, the caller among them, and returns when all have; allocates nothing.
  /// Between runs the threads wait as at a barrier, but sleep after half a millisecond.
  /// throws  the first exception that a member's work threw, after all members have ended; members that wait at a
  ///         barrier are released from it, their stacks unwound (so work must not swallow what it does not know);
  ///         std::logic_error: run inside a run
  template <typename Work>
  void run(Work&& work) {
    using Callee = std::remove_reference_t<Work>;
    run_erased({const_cast<void*>(static_cast<const void*>(std::addressof(work))),
                [](void* object, Member& member) { (*static_cast<Callee*>(object))(member); }});
  }

 private:
  friend class Member;
  struct Task {
    void* object;
    void (*call)(void* object, Member& member);
  };

  void run_erased(Task task);
  void serve(int index);
  void perform(int index);
  void barrier();
  void stop_threads();

  int size_;
  Task task_{};  // published by generation_
  std::vector<std::thread> threads_;
  ThreadPlacement placement_;
  std::exception_ptr error_;  // guarded by error_mutex_ until all have ended
  std::mutex error_mutex_;
  // Each on its own cache line: they are written by different threads while others spin on them.
  alignas(64) std::atomic<uint32_t> generation_{0};  // counts runs
  alignas(64) std::atomic<uint32_t> working_{0};     // threads other than the caller that have not ended this run
  alignas(64) std::atomic<uint32_t> arrived_{0};     // at the barrier
  alignas(64) std::atomic<uint32_t> phase_{0};       // moves when a barrier opens, and when work is given up
  alignas(64) std::atomic<bool> given_up_{false};    // a member threw
  bool running_ = false, closing_ = false;           // closing_ is published by generation_
};

inline int Member::size() const { return team_.size(); }
inline void Member::barrier() { team_.barrier(); }

}  // namespace kvproof::kernels
