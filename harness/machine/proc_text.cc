#include "harness/machine/proc_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <sstream>

namespace kvproof {
namespace {

// What matrix kernels choose their code by; the order is that of the record. x86's names, then Arm's.
constexpr std::array kIsa = {"sse4_2",   "avx",      "avx2",     "fma",         "f16c",        "avx_vnni",
                             "avx512f",  "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16",
                             "amx_tile", "amx_bf16", "amx_int8", "asimd",       "asimdhp",     "asimddp",
                             "sve",      "sve2",     "bf16",     "i8mm",        "sme"};

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::optional<int64_t> leading_integer(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::string> parse_field(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    const auto colon = line.find(':');
    if (colon != std::string_view::npos && trimmed(line.substr(0, colon)) == key)
      return std::string(trimmed(line.substr(colon + 1)));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return std::nullopt;
}

std::optional<int64_t> parse_kilobytes(std::string_view text, std::string_view key) {
  const auto field = parse_field(text, key);
  if (!field || !field->ends_with(" kB")) return std::nullopt;
  const auto value = leading_integer(*field);
  if (!value) return std::nullopt;
  return *value * 1024;
}

std::optional<int64_t> parse_count(std::string_view text) { return leading_integer(trimmed(text)); }

CpuInfo parse_cpuinfo(std::string_view text) {
  CpuInfo info;
  if (const auto flags = parse_field(text, "flags").value_or(parse_field(text, "Features").value_or(""));
      !flags.empty()) {
    std::istringstream words(flags);
    std::vector<std::string> all;
    for (std::string word; words >> word;) all.push_back(word);
    for (const char* name : kIsa) {
      if (std::find(all.begin(), all.end(), name) != all.end()) info.isa.emplace_back(name);
    }
  }
  info.model = parse_field(text, "model name");
  const auto add = [&](const char* key, const char* label) {
    const auto value = parse_field(text, key);
    if (value) info.id = (info.id ? *info.id + " " : "") + label + *value;
  };
  add("vendor_id", "");
  add("CPU implementer", "implementer ");
  add("cpu family", "family ");
  add("CPU architecture", "architecture ");
  add("model", "model ");
  add("CPU variant", "variant ");
  add("CPU part", "part ");
  add("stepping", "stepping ");
  add("CPU revision", "revision ");
  return info;
}

std::optional<std::vector<double>> parse_loadavg(std::string_view text) {
  std::istringstream words{std::string(text)};
  std::vector<double> load(3);
  for (double& value : load) {
    if (!(words >> value)) return std::nullopt;
  }
  return load;
}

std::optional<int64_t> parse_steal_ns(std::string_view text, int64_t ticks_per_second) {
  std::istringstream words{std::string(text.substr(0, text.find('\n')))};
  std::string name;
  if (!(words >> name) || name != "cpu") return std::nullopt;
  int64_t ticks = 0;
  for (int column = 1; column <= 8; ++column) {  // user nice system idle iowait irq softirq steal
    if (!(words >> ticks)) return std::nullopt;
  }
  return ticks * (1'000'000'000 / ticks_per_second);
}

std::optional<int64_t> parse_cache_size(std::string_view text) {
  const std::string_view size = trimmed(text);
  const auto value = leading_integer(size);
  if (!value) return std::nullopt;
  switch (size.back()) {
    case 'K':
      return *value << 10;
    case 'M':
      return *value << 20;
    case 'G':
      return *value << 30;
    default:
      return *value;
  }
}

std::optional<std::string> parse_os_name(std::string_view text) {
  constexpr std::string_view kKey = "PRETTY_NAME=";
  const auto at = text.starts_with(kKey) ? 0 : text.find("\nPRETTY_NAME=");
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at == 0 ? kKey.size() : at + 1 + kKey.size());
  text = trimmed(text.substr(0, text.find('\n')));
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front()) {
    text = text.substr(1, text.size() - 2);
  }
  if (text.empty()) return std::nullopt;
  return std::string(text);
}

}  // namespace kvproof
