// The texts of Linux's /proc and /sys as values: pure functions, so that other machines' texts can be tested here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvproof {

struct CpuInfo {
  std::optional<std::string> model, id;
  std::vector<std::string> isa;
};

/// Of /proc/cpuinfo's first processor: x86 ("model name", "vendor_id", "flags") and Arm ("CPU part", "Features"), whose
/// kernels give no model name.
CpuInfo parse_cpuinfo(std::string_view text);

/// A line "key:  123 kB" of /proc/meminfo or /proc/self/status, in bytes.
std::optional<int64_t> parse_kilobytes(std::string_view text, std::string_view key);

/// A file with one number: a counter, a control group's bytes; absent for "max", which is no limit.
std::optional<int64_t> parse_count(std::string_view text);

/// The rest of a line "key:  rest", without blanks at its ends.
std::optional<std::string> parse_field(std::string_view text, std::string_view key);

/// "0.78 0.50 0.24 3/101 23078" -> the first three.
std::optional<std::vector<double>> parse_loadavg(std::string_view text);

/// The eighth number of /proc/stat's line "cpu": ticks that the hypervisor took. ticks_per_second as sysconf says.
std::optional<int64_t> parse_steal_ns(std::string_view text, int64_t ticks_per_second);

/// A cache's size in /sys: "48K", "2M", "491520K".
std::optional<int64_t> parse_cache_size(std::string_view text);

/// PRETTY_NAME of /etc/os-release, with or without quotes.
std::optional<std::string> parse_os_name(std::string_view text);

}  // namespace kvproof
