#include "harness/duration.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>

#include "harness/error.h"

namespace kvproof {
namespace {

constexpr int64_t kMinute = 60, kHour = 3600;
constexpr double kMostSeconds = 1e9;

/// "4 min", "4 min 10 s", "10 s", "0 s".
std::string two_parts(int64_t large, const char* large_unit, int64_t small, const char* small_unit) {
  if (large == 0) return fmt::format("{} {}", small, small_unit);
  if (small == 0) return fmt::format("{} {}", large, large_unit);
  return fmt::format("{} {} {} {}", large, large_unit, small, small_unit);
}

std::string_view without_spaces_before(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(' '), text.size()));
}

/// Takes the letters in front.
std::string_view take_word(std::string_view& text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto end = static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_letter) - text.begin());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

std::optional<double> seconds_of_unit(std::string_view unit) {
  if (unit == "s") return 1.0;
  if (unit == "min") return kMinute;
  if (unit == "h") return kHour;
  return std::nullopt;
}

/// Nothing: the text is no duration.
std::optional<double> read_duration(std::string_view text) {
  double sum = 0, last_unit = kMostSeconds;
  for (text = without_spaces_before(text); !text.empty(); text = without_spaces_before(text)) {
    double number = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (fault != std::errc() || !(number >= 0 && number <= kMostSeconds)) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    text = without_spaces_before(text);
    if (text.empty() && last_unit == kMostSeconds) return number;  // a number alone
    const auto unit = seconds_of_unit(take_word(text));
    if (!unit || *unit >= last_unit) return std::nullopt;
    last_unit = *unit;
    sum += number * *unit;
  }
  return sum;
}

}  // namespace

std::string duration_text(double seconds) {
  seconds = std::max(0.0, seconds);
  if (seconds < 9.95) return seconds < 0.005 ? "0 s" : fmt::format("{:.2g} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole >= kHour) return two_parts(whole / kHour, "h", whole % kHour / kMinute, "min");
  return two_parts(whole / kMinute, "min", whole % kMinute, "s");
}

double parse_duration(const std::string& text, const std::string& place) {
  const auto seconds = read_duration(text);
  if (seconds && *seconds > 0 && *seconds <= kMostSeconds) return *seconds;
  throw ArgumentError(place,
                      fmt::format("must be a time above 0, such as 90s, 5min, 1h or 300 (seconds), got \"{}\"", text));
}

}  // namespace kvproof
