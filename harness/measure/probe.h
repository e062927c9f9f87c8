// What a measurement reads from the machine while it runs; behind an interface, so that tests can say what time it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "harness/machine/machine.h"

namespace kvproof {

class Probe {
 public:
  virtual ~Probe() = default;
  virtual int64_t now_ns() = 0;  // monotonic
  virtual int64_t cpu_ns() = 0;  // of all threads of this process
  virtual int64_t context_switches() = 0;
  /// Taken by the hypervisor from all CPUs so far; absent: the system does not say.
  virtual std::optional<int64_t> steal_ns() { return {}; }
  /// Clears the kernel's mark. returns why it could not, or nothing
  virtual std::string reset_peak_rss() = 0;
  virtual Fact<int64_t> peak_rss_bytes() = 0;
  /// Whether all but the clock is about the process in which the engine runs.
  virtual bool sees_engine() const { return true; }
};

/// harness/machine itself.
class MachineProbe : public Probe {
 public:
  int64_t now_ns() override { return kvproof::now_ns(); }
  int64_t cpu_ns() override { return process_cpu_ns(); }
  int64_t context_switches() override { return kvproof::context_switches(); }
  std::optional<int64_t> steal_ns() override { return kvproof::steal_ns().value; }
  std::string reset_peak_rss() override { return kvproof::reset_peak_rss(); }
  Fact<int64_t> peak_rss_bytes() override { return kvproof::peak_rss_bytes(); }
};

/// The same, for an engine in a process of its own.
class OtherProcessProbe final : public MachineProbe {
 public:
  std::string reset_peak_rss() override { return "the engine runs in a process of its own"; }
  bool sees_engine() const override { return false; }
};

}  // namespace kvproof
