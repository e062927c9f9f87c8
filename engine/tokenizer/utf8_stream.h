// UTF-8 that arrives in pieces: whole characters out, invalid bytes replaced as Python does.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace kvproof {

class Utf8Stream {
 public:
  /// Takes bytes, returns the text that is now certain; holds back a sequence that may still become a character.
  std::string push(std::string_view bytes);
  /// The end: what was held back, as U+FFFD where it stayed incomplete.
  std::string finish();

 private:
  std::string pending_;
};

/// Python's bytes.decode("utf-8", errors="replace").
std::string decode_utf8_replacing(std::string_view bytes);

/// The offset of the first byte that is not UTF-8 (surrogates and overlong forms are not), or nothing.
std::optional<std::size_t> first_invalid_utf8(std::string_view text);

/// What an error says of text whose first byte that is not UTF-8 is at offset.
std::string invalid_utf8_message(std::string_view text, std::size_t offset);

}  // namespace kvproof
