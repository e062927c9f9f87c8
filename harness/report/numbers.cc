#include "harness/report/numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace kvproof {
namespace {

// So many digits behind the point that `digits` are significant, none of them negative.
std::string significant(double value, int digits) {
  if (value == 0) return "0";
  // Rounded first: 9.9996 has its point where 10.00 has it.
  const double rounded = std::stod(fmt::format("{:.{}e}", value, digits - 1));
  const int magnitude = static_cast<int>(std::floor(std::log10(std::abs(rounded))));
  return fmt::format("{:.{}f}", rounded, std::max(0, digits - 1 - magnitude));
}

std::string scaled(double value, double step, std::initializer_list<const char*> units) {
  auto unit = units.begin();
  while (value >= step && unit + 1 != units.end()) {
    value /= step;
    ++unit;
  }
  const std::string digits =
      value >= 100 || value == std::floor(value) ? fmt::format("{:.0f}", value) : fmt::format("{:.1f}", value);
  return digits + *unit;
}

}  // namespace

std::string milliseconds(std::optional<double> ns) { return ns ? significant(*ns / 1e6, 4) + " ms" : kNone; }

std::string plain_number(std::optional<double> value) {
  if (!value) return kNone;
  return std::abs(*value) >= 1000 ? fmt::format("{:.0f}", *value) : significant(*value, 4);
}

std::string times(std::optional<double> ratio) {
  if (!ratio) return kNone;
  const int digits = *ratio >= 99.95 ? 0 : *ratio >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}x", *ratio, digits);
}

std::string small_number(std::optional<double> value) {
  if (!value) return kNone;
  if (*value == 0) return "0";
  if (std::abs(*value) < 0.001) return fmt::format("{:.1e}", *value);
  return std::abs(*value) >= 1000 ? plain_number(value) : significant(*value, 3);
}

std::string bytes_text(std::optional<int64_t> bytes) {
  return bytes ? scaled(static_cast<double>(*bytes), 1024, {" B", " KiB", " MiB", " GiB", " TiB"}) : kNone;
}

std::string count_text(int64_t count) { return scaled(static_cast<double>(count), 1000, {"", " k", " M", " G", " T"}); }

std::string threads_text(int64_t threads) { return threads == 0 ? "threads unknown" : counted(threads, "thread"); }

std::string counted(int64_t count, const std::string& noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace kvproof
