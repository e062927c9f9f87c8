#include "engine/tokenizer/utf8_stream.h"

#include <cstdint>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace kvproof {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct Unit {
  enum Kind { kCharacter, kInvalid, kIncomplete } kind;
  std::size_t length;  // of the character, or of what one U+FFFD stands for
};

/// What begins at bytes[0]. An invalid unit is the longest start of some character (Unicode's "maximal subpart", what
/// CPython replaces by one U+FFFD), or one byte where no character starts so.
Unit next_unit(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {Unit::kCharacter, 1};
  if (lead < 0xC2 || lead > 0xF4) return {Unit::kInvalid, 1};  // continuation, overlong C0 and C1, beyond U+10FFFF
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

  // The second byte's range excludes overlong forms (E0, F0), surrogates (ED) and what lies beyond U+10FFFF (F4).
  std::uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  std::uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return {Unit::kIncomplete, i};
    if (byte(i) < low || byte(i) > high) return {Unit::kInvalid, i};
    low = 0x80, high = 0xBF;
  }
  return {Unit::kCharacter, length};
}

/// How many bytes at the front are known to be ASCII: a multiple of 8, found 8 at a time.
std::size_t ascii_run(std::string_view text) {
  std::size_t i = 0;
  for (std::uint64_t word; i + sizeof(word) <= text.size(); i += sizeof(word)) {
    std::memcpy(&word, text.data() + i, sizeof(word));
    if (word & 0x8080808080808080u) break;
  }
  return i;
}

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
  std::string joined;
  if (!pending_.empty()) {
    joined = std::move(pending_);
    joined.append(bytes);
    bytes = joined;
    pending_.clear();
  }
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const Unit unit = next_unit(bytes);
    if (unit.kind == Unit::kIncomplete) {
      pending_ = bytes;
      break;
    }
    text.append(unit.kind == Unit::kCharacter ? bytes.substr(0, unit.length) : kReplacement);
    bytes.remove_prefix(unit.length);
  }
  return text;
}

std::string Utf8Stream::finish() {
  const bool incomplete = !pending_.empty();
  pending_.clear();
  return std::string(incomplete ? kReplacement : "");
}

std::string decode_utf8_replacing(std::string_view bytes) {
  Utf8Stream stream;
  std::string text = stream.push(bytes);
  return text += stream.finish();
}

std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  std::size_t offset = 0;
  while (offset < text.size()) {
    offset += ascii_run(text.substr(offset));
    if (offset == text.size()) break;
    const Unit unit = next_unit(text.substr(offset));
    if (unit.kind != Unit::kCharacter) return offset;
    offset += unit.length;
  }
  return std::nullopt;
}

std::string invalid_utf8_message(std::string_view text, std::size_t offset) {
  return fmt::format(
      "expected UTF-8, found byte {:02x} at offset {}, which no character can have there; convert the "
      "text to UTF-8",
      static_cast<std::uint8_t>(text[offset]), offset);
}

}  // namespace kvproof
