#include "harness/report/export/escape.h"

#include <algorithm>

#include "harness/report/text.h"

namespace kvproof {
namespace {

constexpr std::string_view kNoWidth = "&#8203;";

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

std::size_t longest_run(std::string_view text, char of) {
  std::size_t longest = 0, run = 0;
  for (const char c : text) {
    run = c == of ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return longest;
}

/// Every character of ASCII that could be markup as its number.
std::string as_references(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (letter || c == ' ' || static_cast<unsigned char>(c) >= 0x80)
      result += c;
    else
      result += "&#" + std::to_string(static_cast<int>(c)) + ";";
  }
  return result;
}

/// An entry of a list that begins so would be a list or an indented block of its own.
std::string at_line_begin(std::string text) {
  if (text.empty()) return text;
  if (text.front() == ' ') return "&#32;" + text.substr(1);
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const bool numbered = digits > 0 && digits < text.size() && (text[digits] == '.' || text[digits] == ')');
  if (numbered) text.insert(digits, 1, '\\');
  if (std::string_view("+-=").find(text.front()) != std::string_view::npos) text.insert(0, 1, '\\');
  return text;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("\n\\"), text.size());
    result += visible(text.substr(0, end));
    if (end < text.size()) result += text[end];
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

std::string csv_text(std::string_view text) {
  std::string field = printable(text);
  const std::size_t first = field.find_first_not_of(' ');
  if (first != std::string::npos && std::string_view("=+-@").find(field[first]) != std::string_view::npos)
    field.insert(0, 1, '\'');
  const bool blanks = !field.empty() && (field.front() == ' ' || field.back() == ' ');  // some readers drop them
  if (!blanks && field.find_first_of(",\"\n") == std::string::npos) return field;
  replace_all(field, "\"", "\"\"");
  return '"' + field + '"';
}

std::string xml_text(std::string_view text) {
  std::string result = printable(text);
  replace_all(result, "\xEF\xBF\xBE", "\\ufffe");
  replace_all(result, "\xEF\xBF\xBF", "\\uffff");
  return result;
}

std::string markdown_code(std::string_view text) {
  std::string content = visible(text);
  if (content.empty()) content = "  ";
  // A table is cut at bars before its code spans are found, and only there a backslash in front would vanish again.
  if (content.find('|') != std::string::npos) return "<code>" + as_references(content) + "</code>";
  const std::string fence(longest_run(content, '`') + 1, '`');
  const bool touches = content.front() == '`' || content.back() == '`';
  const bool trimmed =
      content.front() == ' ' && content.back() == ' ' && content.find_first_not_of(' ') != std::string::npos;
  return touches || trimmed ? fence + " " + content + " " + fence : fence + content + fence;
}

std::string markdown_prose(std::string_view visible_text) {
  std::string result;
  for (std::size_t i = 0; i < visible_text.size(); ++i) {
    const char c = visible_text[i];
    const bool joined = i + 1 < visible_text.size() && visible_text[i + 1] != ' ';
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '$':
        result += "<span>$</span>";
        break;
      case '\\':
      case '`':
      case '*':
      case '_':
      case '~':
      case '[':
      case ']':
      case '|':
        result += '\\';
        result += c;
        break;
      case '@':
      case '#':
      case ':':
        if (c == '#') result += '\\';  // a heading
        result += c;
        if (joined) result += kNoWidth;
        break;
      default:
        result += c;
    }
  }
  replace_all(result, "www.", "www" + std::string(kNoWidth) + ".");
  return at_line_begin(result);
}

}  // namespace kvproof
