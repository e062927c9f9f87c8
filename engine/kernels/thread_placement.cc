#include "engine/kernels/thread_placement.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace kvproof::kernels {

#if defined(__linux__)
namespace {

struct Cpus {
  cpu_set_t set;
  bool known;
};

// Those that the calling thread may use.
Cpus allowed_cpus() {
  Cpus cpus{};
  cpus.known = sched_getaffinity(0, sizeof cpus.set, &cpus.set) == 0;
  return cpus;
}

// The nth member of the set, which has more than nth.
int nth_of(const cpu_set_t& set, int nth) {
  int cpu = 0;
  while (!CPU_ISSET(cpu, &set) || nth-- > 0) ++cpu;
  return cpu;
}

cpu_set_t only(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return set;
}

}  // namespace

void ThreadPlacement::arrange(std::vector<std::thread>& threads) {
  const int caller = sched_getcpu();
  if (threads.empty() || caller == caller_) return;
  const Cpus allowed = allowed_cpus();
  if (!allowed.known || CPU_COUNT(&allowed.set) <= static_cast<int>(threads.size())) return;
  if (!pin_) {
    caller_ = caller;
    cpu_set_t others = allowed.set;
    CPU_CLR(caller, &others);
    for (std::thread& thread : threads) pthread_setaffinity_np(thread.native_handle(), sizeof others, &others);
    return;
  }
  for (size_t i = 0; caller_ < 0 && i < threads.size(); ++i) {
    const cpu_set_t own = only(nth_of(allowed.set, static_cast<int>(i) + 1));
    pthread_setaffinity_np(threads[i].native_handle(), sizeof own, &own);
  }
  caller_ = nth_of(allowed.set, 0);
  if (caller == caller_) return;
  const cpu_set_t first = only(caller_);
  sched_setaffinity(0, sizeof first, &first);  // moves it there at once
  sched_setaffinity(0, sizeof allowed.set, &allowed.set);
}
#else
void ThreadPlacement::arrange(std::vector<std::thread>&) {}
#endif

}  // namespace kvproof::kernels
