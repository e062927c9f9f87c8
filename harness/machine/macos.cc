#ifdef __APPLE__

#include <mach/mach.h>
#include <stdlib.h>
#include <sys/sysctl.h>

#include "harness/machine/platform.h"

namespace kvproof {
namespace {

Fact<int64_t> sysctl_integer(const char* name) {
  int64_t value = 0;  // the kernel fills 4 or 8 bytes; Macs are little-endian
  std::size_t size = sizeof value;
  if (sysctlbyname(name, &value, &size, nullptr, 0) != 0)
    return Fact<int64_t>::unknown(std::string("sysctl has no ") + name);
  return Fact<int64_t>::known(value);
}

Fact<std::string> sysctl_text(const char* name) {
  char text[256] = {};
  std::size_t size = sizeof text - 1;
  if (sysctlbyname(name, text, &size, nullptr, 0) != 0)
    return Fact<std::string>::unknown(std::string("sysctl has no ") + name);
  return Fact<std::string>::known(text);
}

}  // namespace

void fill_platform_facts(MachineFacts& facts) {
  facts.cpu_model = sysctl_text("machdep.cpu.brand_string");
  const Fact<int64_t> family = sysctl_integer("hw.cpufamily");
  facts.cpu_id = family.has_value() ? Fact<std::string>::known("Apple family " + std::to_string(*family))
                                    : Fact<std::string>::unknown(family.reason);
  facts.l1d_bytes = sysctl_integer("hw.l1dcachesize");
  facts.l2_bytes = sysctl_integer("hw.l2cachesize");
  facts.l3_bytes = sysctl_integer("hw.l3cachesize");
  for (const char* name : {"FEAT_FP16", "FEAT_DotProd", "FEAT_BF16", "FEAT_I8MM", "FEAT_SME"}) {
    const Fact<int64_t> present = sysctl_integer((std::string("hw.optional.arm.") + name).c_str());
    if (present.has_value() && *present != 0) facts.isa.emplace_back(name);
  }
  facts.memory_bytes = sysctl_integer("hw.memsize");
  facts.governor = Fact<std::string>::unknown("macOS has no frequency governor to ask");
  facts.affinity = Fact<std::string>::unknown("macOS does not bind processes to CPUs");
  const Fact<std::string> version = sysctl_text("kern.osproductversion");
  facts.os = version.has_value() ? "macOS " + *version : "macOS";
}

Fact<int64_t> steal_ns() { return Fact<int64_t>::unknown("macOS does not count stolen time"); }

LoadSnapshot load_snapshot() {
  LoadSnapshot snapshot;
  std::vector<double> load(3);
  snapshot.load = getloadavg(load.data(), 3) == 3
                      ? Fact<std::vector<double>>::known(load)
                      : Fact<std::vector<double>>::unknown("getloadavg gives no load averages");
  snapshot.steal_ns = steal_ns();
  snapshot.throttles = Fact<int64_t>::unknown("macOS does not count how often it slowed a CPU down");
  return snapshot;
}

Fact<int64_t> available_memory_bytes() { return sysctl_integer("hw.memsize"); }  // it pages and compresses by need

Fact<int64_t> current_rss_bytes() {
  mach_task_basic_info info{};
  mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;
  if (task_info(mach_task_self(), MACH_TASK_BASIC_INFO, reinterpret_cast<task_info_t>(&info), &count) != KERN_SUCCESS) {
    return Fact<int64_t>::unknown("task_info does not answer");
  }
  return Fact<int64_t>::known(static_cast<int64_t>(info.resident_size));
}

std::string reset_peak_rss() { return "macOS keeps one peak for the life of a process"; }

Fact<int64_t> peak_rss_bytes() { return Fact<int64_t>::unknown("macOS keeps one peak for the life of a process"); }

}  // namespace kvproof

#endif
