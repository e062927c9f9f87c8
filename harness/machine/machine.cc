#include "harness/machine/machine.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <stdexcept>
#include <string_view>

#include "harness/machine/platform.h"

namespace kvproof {
namespace {

int64_t clock_ns(clockid_t clock) {
  timespec time{};
  if (clock_gettime(clock, &time) != 0) throw std::logic_error("clock_gettime refuses a clock that POSIX demands");
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// FNV-1a, 64 bits: short, and the same on every machine and in every version.
uint64_t fnv1a(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace

MachineFacts machine_facts() {
  MachineFacts facts;
  utsname system{};
  uname(&system);
  facts.architecture = system.machine;
  facts.cores = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  fill_platform_facts(facts);
  facts.os += (facts.os.empty() ? "" : ", ") + std::string(system.sysname) + " " + system.release;
  facts.fingerprint = fingerprint(facts);
  return facts;
}

std::string fingerprint(const MachineFacts& facts) {
  std::string text;
  const auto add = [&](const std::string& field) { text += field + "\n"; };
  const auto add_number = [&](const Fact<int64_t>& fact, int shift) {
    add(fact.has_value() ? std::to_string((*fact + (int64_t{1} << shift) / 2) >> shift) : "?");
  };
  add(facts.cpu_model.value.value_or("?"));
  add(facts.cpu_id.value.value_or("?"));
  add(facts.architecture);
  add(std::to_string(facts.cores));
  add_number(facts.l1d_bytes, 0);
  add_number(facts.l2_bytes, 0);
  add_number(facts.l3_bytes, 0);
  for (const std::string& name : facts.isa) add(name);
  add_number(facts.memory_bytes, 30);  // a kernel update moves MemTotal by a few MiB
  constexpr char kDigits[] = "0123456789abcdef";
  const uint64_t hash = fnv1a(text);
  std::string hex(16, '0');
  for (std::size_t i = 0; i < hex.size(); ++i) hex[i] = kDigits[hash >> (60 - 4 * i) & 15];
  return hex;
}

int64_t now_ns() { return clock_ns(CLOCK_MONOTONIC); }

int64_t process_cpu_ns() { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

int64_t context_switches() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_nvcsw} + usage.ru_nivcsw;
}

std::string utc_now() {
  const time_t seconds = time(nullptr);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[sizeof "2026-11-22T10:15:00Z"];
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace kvproof
