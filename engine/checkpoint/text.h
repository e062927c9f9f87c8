// Pieces of messages that this directory's files share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvproof {

/// Text in single quotes, safe for a terminal: control characters and broken UTF-8 as \xNN, at most 80 bytes of it.
std::string quote(std::string_view text);

/// "a, b, c and 4 more": the first `limit` of the items.
std::string listed(const std::vector<std::string>& items, size_t limit);

/// A shape as Python prints it: "(331, 64)", "(4,)", "()".
std::string shape_text(const std::vector<int64_t>& shape);

/// Length of the valid UTF-8 that text begins with; text.size() if all of it is.
size_t valid_utf8_prefix(std::string_view text);

/// The latin1 bytes of valid UTF-8; nothing if a character lies beyond U+00FF.
std::optional<std::string> latin1_of_utf8(std::string_view text);

}  // namespace kvproof
