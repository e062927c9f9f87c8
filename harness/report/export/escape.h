// Texts of a record inside other languages: what they hold stays text there, whoever wrote it.
#pragma once

#include <string>
#include <string_view>

namespace kvproof {

/// Line ends and backslashes as they are; all else as visible() has it: other control characters, direction marks and line
/// separators written out (\x1b, \u202e), bytes that are not UTF-8 as U+FFFD.
std::string printable(std::string_view text);

/// A field of a CSV file (RFC 4180): printable, in quotes where it must be, with an apostrophe before anything that a
/// spreadsheet would take for a formula (= + - @ as the first character that is no blank).
std::string csv_text(std::string_view text);

/// Content of an XML 1.0 element or attribute before its markup is escaped, which pugixml does: printable, and without the
/// two characters U+FFFE and U+FFFF, which XML forbids as well (written out, too).
std::string xml_text(std::string_view text);

/// Code in GitHub's Markdown, on one line, also inside a table: nothing in it is markup, mentions somebody or becomes a
/// link. Blanks stand for an empty text. The text is made visible() first.
std::string markdown_code(std::string_view text);

/// A text that is visible() already, as running Markdown on one line, also inside a table or a list: it shows as it is. No
/// markup, no HTML, no formula; no mention, emoji or link either: a blank of no width stands behind @, # and :.
std::string markdown_prose(std::string_view visible_text);

}  // namespace kvproof
