#include "harness/report/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace kvproof {
namespace {

constexpr uint32_t kReplacement = 0xFFFD;

struct Character {
  uint32_t code = kReplacement;
  std::size_t bytes = 1;
  bool valid = false;
};

// The character that begins the text, which is not empty.
Character decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return {byte(0), 1, true};
  const std::size_t length = byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : 2;
  if (byte(0) < 0xC2 || byte(0) > 0xF4 || text.size() < length) return {};
  uint32_t code = byte(0) & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  constexpr std::array<uint32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {};
  return {code, length, true};
}

struct Range {
  uint32_t first, last;
};

template <std::size_t N>
bool within(const std::array<Range, N>& ranges, uint32_t code) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const Range& r) { return code >= r.first && code <= r.last; });
}

// Whole blocks of Unicode: a few unassigned code points in them do no harm.
constexpr std::array<Range, 11> kNoWidth = {{{0x0300, 0x036F},
                                             {0x0483, 0x0489},
                                             {0x0591, 0x05BD},
                                             {0x064B, 0x065F},
                                             {0x1AB0, 0x1AFF},
                                             {0x1DC0, 0x1DFF},
                                             {0x200B, 0x200D},
                                             {0x20D0, 0x20FF},
                                             {0xFE00, 0xFE0F},
                                             {0xFE20, 0xFE2F},
                                             {0xE0100, 0xE01EF}}};
constexpr std::array<Range, 15> kWide = {{{0x1100, 0x115F},
                                          {0x231A, 0x231B},
                                          {0x2E80, 0x303E},
                                          {0x3041, 0x33FF},
                                          {0x3400, 0x4DBF},
                                          {0x4E00, 0xA4CF},
                                          {0xA960, 0xA97F},
                                          {0xAC00, 0xD7A3},
                                          {0xF900, 0xFAFF},
                                          {0xFE30, 0xFE6F},
                                          {0xFF00, 0xFF60},
                                          {0xFFE0, 0xFFE6},
                                          {0x1F300, 0x1F64F},
                                          {0x1F680, 0x1FAFF},
                                          {0x20000, 0x3FFFD}}};
// Marks that turn the direction of text, and separators of lines and paragraphs.
constexpr std::array<Range, 5> kObeyed = {
    {{0x061C, 0x061C}, {0x200E, 0x200F}, {0x2028, 0x202E}, {0x2066, 0x2069}, {0xFEFF, 0xFEFF}}};

int width_of(uint32_t code) { return within(kNoWidth, code) ? 0 : within(kWide, code) ? 2 : 1; }

// Bytes of the longest beginning of at most `width` columns.
std::size_t bytes_within(std::string_view text, int width) {
  std::size_t at = 0;
  for (int used = 0; at < text.size();) {
    const Character c = decode(text.substr(at));
    used += width_of(c.code);
    if (used > width) break;
    at += c.bytes;
  }
  return at;
}

std::string escaped(uint32_t code) {
  constexpr char kDigits[] = "0123456789abcdef";
  switch (code) {
    case '\n':
      return "\\n";
    case '\t':
      return "\\t";
    case '\r':
      return "\\r";
    case '\\':
      return "\\\\";
    default:
      break;
  }
  std::string text = code < 0x100 ? "\\x" : "\\u";
  for (int shift = code < 0x100 ? 4 : 12; shift >= 0; shift -= 4) text += kDigits[code >> shift & 15];
  return text;
}

}  // namespace

int display_width(std::string_view utf8) {
  int width = 0;
  for (std::size_t at = 0; at < utf8.size();) {
    const Character c = decode(utf8.substr(at));
    width += width_of(c.code);
    at += c.bytes;
  }
  return width;
}

std::string visible(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const Character c = decode(text.substr(at));
    const bool control = c.code < 0x20 || (c.code >= 0x7F && c.code < 0xA0);
    if (!c.valid)
      result += "\xEF\xBF\xBD";
    else if (control || c.code == '\\' || within(kObeyed, c.code))
      result += escaped(c.code);
    else
      result += text.substr(at, c.bytes);
    at += c.bytes;
  }
  return result;
}

std::string cut(std::string_view utf8, int width) {
  if (display_width(utf8) <= width) return std::string(utf8);
  return std::string(utf8.substr(0, bytes_within(utf8, width - 1))) + "…";
}

std::string cut_front(std::string_view utf8, int from) {
  if (from <= 0) return std::string(utf8);
  return "…" + std::string(utf8.substr(bytes_within(utf8, from + 1)));
}

int common_width(std::string_view a, std::string_view b) {
  int width = 0;
  for (std::size_t at = 0; at < a.size() && at < b.size();) {
    const Character c = decode(a.substr(at));
    if (a.substr(at, c.bytes) != b.substr(at, c.bytes)) break;
    width += width_of(c.code);
    at += c.bytes;
  }
  return width;
}

std::string joined(const std::vector<std::string>& parts, const char* between) {
  return fmt::format("{}", fmt::join(parts, between));
}

std::string left(std::string_view utf8, int width) {
  return std::string(utf8) + std::string(static_cast<std::size_t>(std::max(0, width - display_width(utf8))), ' ');
}

std::string right(std::string_view utf8, int width) {
  return std::string(static_cast<std::size_t>(std::max(0, width - display_width(utf8))), ' ') + std::string(utf8);
}

std::vector<std::string> wrap(std::string_view utf8, int width) {
  std::vector<std::string> lines;
  while (display_width(utf8) > width) {
    std::size_t end = bytes_within(utf8, width);
    // A blank right behind the line is a place to break, too.
    const std::size_t blank = utf8.substr(0, end + 1).rfind(' ');
    if (blank != std::string_view::npos && blank > 0) end = blank;
    end = std::max(end, decode(utf8).bytes);  // a line narrower than one character still takes it
    const std::size_t last = utf8.substr(0, end).find_last_not_of(' ');
    lines.emplace_back(utf8.substr(0, last == std::string_view::npos ? 0 : last + 1));
    utf8.remove_prefix(end);
    while (utf8.starts_with(' ')) utf8.remove_prefix(1);
  }
  if (!utf8.empty() || lines.empty()) lines.emplace_back(utf8);
  return lines;
}

std::vector<std::string> fold(std::string_view utf8, int width, int max_lines) {
  std::vector<std::string> lines;
  while (display_width(utf8) > width && static_cast<int>(lines.size()) < max_lines - 1) {
    const std::size_t end = std::max(bytes_within(utf8, width), decode(utf8).bytes);
    lines.emplace_back(utf8.substr(0, end));
    utf8.remove_prefix(end);
  }
  lines.push_back(cut(utf8, width));
  return lines;
}

}  // namespace kvproof
