// UTF-8 as a terminal shows it: columns, cuts, padding, and nothing in it that a terminal would obey.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kvproof {

/// Columns a terminal takes: two for East Asian wide characters and emoji, none for combining marks.
/// utf8  without control characters; a byte that is not UTF-8 counts one
int display_width(std::string_view utf8);

/// The text with everything a terminal could obey made visible: newline, tab and return as \n, \t, \r, other control
/// characters as \x1b, direction marks and line separators as \u202e, a backslash doubled; bytes that are not UTF-8 as
/// U+FFFD.
std::string visible(std::string_view text);

/// The longest beginning of at most `width` columns; with "…" as its last where something was cut. Combining marks stay
/// with their letter.
std::string cut(std::string_view utf8, int width);

/// The text from column `from` on, after a "…" in its place; all of it where `from` is 0.
std::string cut_front(std::string_view utf8, int from);

/// Columns of the longest beginning that both have, whole characters only.
int common_width(std::string_view a, std::string_view b);

/// "a, b": the parts with `between` between them.
std::string joined(const std::vector<std::string>& parts, const char* between);

/// Padded with blanks on the right, or on the left; longer ones stay as they are.
std::string left(std::string_view utf8, int width);
std::string right(std::string_view utf8, int width);

/// Broken at blanks into lines of at most `width` columns, longer words anywhere. At least one line.
std::vector<std::string> wrap(std::string_view utf8, int width);

/// Broken anywhere, so that blanks stay where they are, into at most max_lines; the last is cut.
std::vector<std::string> fold(std::string_view utf8, int width, int max_lines);

}  // namespace kvproof
