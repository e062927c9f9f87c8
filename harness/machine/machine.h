// What this machine is, how busy it is, and its clocks. The only place with calls that one operating system has alone:
// what cannot be had is absent, with the reason.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kvproof {

/// A value, or why there is none.
template <class T>
struct Fact {
  std::optional<T> value;
  std::string reason;  // a sentence without a full stop; empty where there is a value

  static Fact known(T value) { return {std::move(value), {}}; }
  static Fact unknown(std::string reason) { return {std::nullopt, std::move(reason)}; }
  bool has_value() const { return value.has_value(); }
  const T& operator*() const { return *value; }
  const T* operator->() const { return &*value; }
};

struct MachineFacts {
  Fact<std::string> cpu_model;                  // as the vendor names it: virtual machines often say little
  Fact<std::string> cpu_id;                     // "GenuineIntel family 6 model 143 stepping 8"
  std::string architecture;                     // "x86_64", "aarch64"
  int cores = 0;                                // logical CPUs online
  Fact<int64_t> l1d_bytes, l2_bytes, l3_bytes;  // of one instance, as CPU 0 sees it
  std::vector<std::string> isa;                 // the extensions that matrix kernels use, in a fixed order
  Fact<int64_t> memory_bytes;
  Fact<std::string> governor;  // of CPU 0: "performance", "powersave"
  Fact<std::string> affinity;  // CPUs this process may run on: "0-3,8"
  std::string os;              // "Debian GNU/Linux 12 (bookworm), Linux 6.1.0-13-amd64"
  std::string fingerprint;     // 16 hex digits
};

/// Looks at the machine. Cost: some files of /proc and /sys, well under a millisecond.
MachineFacts machine_facts();

/// Hash of what stays while the machine stays the same: cpu_model, cpu_id, architecture, cores, caches, isa, memory in
/// whole GiB.
/// Never a clock rate, a load, the governor, the affinity or a kernel version.
std::string fingerprint(const MachineFacts& facts);

/// How busy the machine is at one moment.
struct LoadSnapshot {
  Fact<std::vector<double>> load;  // load averages over 1, 5 and 15 minutes
  Fact<int64_t> steal_ns;          // taken by the hypervisor from all CPUs since boot: take differences
  Fact<int64_t> throttles = {};    // times that a CPU was slowed down for heat or power since boot: take differences
};

LoadSnapshot load_snapshot();

/// Its steal_ns alone: cheap enough to be asked beside each call.
Fact<int64_t> steal_ns();

/// A clock that never goes back. Only differences mean something.
int64_t now_ns();

/// CPU time of all threads of this process.
int64_t process_cpu_ns();

/// Voluntary and involuntary switches of all threads of this process so far.
int64_t context_switches();

/// The time of day, UTC, ISO 8601 to the second: "2026-11-22T10:15:00Z".
std::string utc_now();

/// Memory that this process may still take without driving anything out: of the system's, and of its group's where one is
/// limited, as in most containers.
Fact<int64_t> available_memory_bytes();

/// Memory of this process that is resident now.
Fact<int64_t> current_rss_bytes();

/// Lets the peak start again from what is resident now.
/// returns empty, or why it could not: the peak is then that of the whole process and says nothing of one case
std::string reset_peak_rss();

/// The most that was resident since the last reset_peak_rss.
Fact<int64_t> peak_rss_bytes();

}  // namespace kvproof
