#if !defined(__linux__) && !defined(__APPLE__)

#include "harness/machine/platform.h"

namespace kvproof {
namespace {
constexpr const char* kReason = "not asked for on this operating system: only Linux and macOS are known";
}  // namespace

void fill_platform_facts(MachineFacts& facts) {
  facts.cpu_model = facts.cpu_id = facts.governor = facts.affinity = Fact<std::string>::unknown(kReason);
  facts.l1d_bytes = facts.l2_bytes = facts.l3_bytes = facts.memory_bytes = Fact<int64_t>::unknown(kReason);
}

Fact<int64_t> steal_ns() { return Fact<int64_t>::unknown(kReason); }

LoadSnapshot load_snapshot() {
  return {Fact<std::vector<double>>::unknown(kReason), Fact<int64_t>::unknown(kReason), Fact<int64_t>::unknown(kReason)};
}

Fact<int64_t> available_memory_bytes() { return Fact<int64_t>::unknown(kReason); }

Fact<int64_t> current_rss_bytes() { return Fact<int64_t>::unknown(kReason); }

std::string reset_peak_rss() { return kReason; }

Fact<int64_t> peak_rss_bytes() { return Fact<int64_t>::unknown(kReason); }

}  // namespace kvproof

#endif
