#ifdef __linux__

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "harness/machine/platform.h"
#include "harness/machine/proc_text.h"

namespace kvproof {
namespace {

constexpr const char* kCpu0 = "/sys/devices/system/cpu/cpu0/";

// Empty where the file cannot be read: containers hide some.
std::string text_of(const std::string& file) {
  std::ifstream stream(file);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

template <class T>
Fact<T> fact(std::optional<T> value, const std::string& reason) {
  return value ? Fact<T>::known(std::move(*value)) : Fact<T>::unknown(reason);
}

// The first data or unified cache of a level.
Fact<int64_t> cache_bytes(int level) {
  for (int index = 0; index < 16; ++index) {
    const std::string folder = std::string(kCpu0) + "cache/index" + std::to_string(index) + "/";
    const std::string found = text_of(folder + "level");
    if (found.empty()) break;
    if (found != std::to_string(level) + "\n" || text_of(folder + "type") == "Instruction\n") continue;
    return fact(parse_cache_size(text_of(folder + "size")), folder + "size holds no size");
  }
  return Fact<int64_t>::unknown(std::string(kCpu0) + "cache lists no data cache of level " + std::to_string(level));
}

}  // namespace

void fill_platform_facts(MachineFacts& facts) {
  CpuInfo cpu = parse_cpuinfo(text_of("/proc/cpuinfo"));
  facts.cpu_model = fact(std::move(cpu.model), "/proc/cpuinfo has no model name");
  facts.cpu_id = fact(std::move(cpu.id), "/proc/cpuinfo names neither vendor nor part");
  facts.isa = std::move(cpu.isa);
  facts.l1d_bytes = cache_bytes(1);
  facts.l2_bytes = cache_bytes(2);
  facts.l3_bytes = cache_bytes(3);
  facts.memory_bytes = fact(parse_kilobytes(text_of("/proc/meminfo"), "MemTotal"), "/proc/meminfo has no MemTotal");
  std::string governor = text_of(std::string(kCpu0) + "cpufreq/scaling_governor");
  while (governor.ends_with('\n')) governor.pop_back();
  facts.governor = governor.empty()
                       ? Fact<std::string>::unknown("no frequency scaling is visible, as in most virtual machines")
                       : Fact<std::string>::known(governor);
  facts.affinity = fact(parse_field(text_of("/proc/self/status"), "Cpus_allowed_list"),
                        "/proc/self/status has no Cpus_allowed_list");
  facts.os = parse_os_name(text_of("/etc/os-release")).value_or("");
}

namespace {

// Of the CPUs that are visible, the cores' and their packages' together.
Fact<int64_t> throttle_count() {
  const std::string place = "thermal_throttle/";
  std::optional<int64_t> sum;
  for (int64_t cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); ++cpu) {
    const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/" + place;
    for (const char* file : {"core_throttle_count", "package_throttle_count"}) {
      if (const auto count = parse_count(text_of(folder + file))) sum = sum.value_or(0) + *count;
    }
  }
  return fact(sum, std::string(kCpu0) + place + " is not there, as in most virtual machines");
}

}  // namespace

Fact<int64_t> steal_ns() {
  return fact(parse_steal_ns(text_of("/proc/stat"), sysconf(_SC_CLK_TCK)), "/proc/stat has no column for stolen time");
}

LoadSnapshot load_snapshot() {
  LoadSnapshot snapshot;
  snapshot.load = fact(parse_loadavg(text_of("/proc/loadavg")), "/proc/loadavg holds no load averages");
  snapshot.steal_ns = steal_ns();
  snapshot.throttles = throttle_count();
  return snapshot;
}

Fact<int64_t> available_memory_bytes() {
  Fact<int64_t> available =
      fact(parse_kilobytes(text_of("/proc/meminfo"), "MemAvailable"), "/proc/meminfo has no MemAvailable");
  // The group's own files stand here where it has a namespace of its own, as containers do.
  const auto limit = parse_count(text_of("/sys/fs/cgroup/memory.max"));
  if (!limit) return available;
  const int64_t left = std::max<int64_t>(0, *limit - parse_count(text_of("/sys/fs/cgroup/memory.current")).value_or(0));
  return Fact<int64_t>::known(available.has_value() ? std::min(*available, left) : left);
}

Fact<int64_t> current_rss_bytes() {
  return fact(parse_kilobytes(text_of("/proc/self/status"), "VmRSS"), "/proc/self/status has no VmRSS");
}

std::string reset_peak_rss() {
  const int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  if (file < 0) return std::string("/proc/self/clear_refs cannot be opened: ") + std::strerror(errno);
  const bool written = write(file, "5", 1) == 1;  // 5: the peak alone
  const int why = errno;
  close(file);
  return written ? std::string() : std::string("/proc/self/clear_refs cannot be written: ") + std::strerror(why);
}

Fact<int64_t> peak_rss_bytes() {
  return fact(parse_kilobytes(text_of("/proc/self/status"), "VmHWM"), "/proc/self/status has no VmHWM");
}

}  // namespace kvproof

#endif
