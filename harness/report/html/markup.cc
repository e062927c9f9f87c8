#include "harness/report/html/markup.h"

#include <set>
#include <stdexcept>

namespace kvproof {

std::string html_text(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
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
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string data_block(const Json& data) {
  const std::string text = data.dump(-1, ' ', true, Json::error_handler_t::replace);
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    if (c == '<')
      result += "\\u003c";  // in JSON only strings hold one
    else
      result += c;
  }
  return result;
}

std::string filled(std::string_view page, const std::map<std::string, std::string>& parts) {
  std::string result;
  std::set<std::string> used;
  for (;;) {
    const auto begin = page.find("{{"), end = page.find("}}", begin);
    if (begin == std::string_view::npos || end == std::string_view::npos) break;
    const std::string name(page.substr(begin + 2, end - begin - 2));
    const auto part = parts.find(name);
    if (part == parts.end()) throw std::logic_error("the page asks for a part that nobody made: " + name);
    used.insert(name);
    result += page.substr(0, begin);
    result += part->second;
    page.remove_prefix(end + 2);
  }
  if (used.size() != parts.size()) throw std::logic_error("a part was made that the page does not ask for");
  return result + std::string(page);
}

}  // namespace kvproof
