// The sample record, and what a page made of a record holds.
#pragma once

#include <string>

#include "harness/record/record.h"
#include "tests/support/catch.h"

namespace kvproof::testing {

inline Json sample() { return read_record(source_path("tests/data/record/sample.json")); }

inline std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const auto from = text.find(begin);
  if (from == std::string::npos) return "no " + begin;
  const auto at = from + begin.size();
  return text.substr(at, text.find(end, at) - at);
}

/// The page without Chart.js, its first script.
inline std::string our_part(const std::string& page) {
  const auto begin = page.find("<script>\n");
  return page.substr(0, begin) + page.substr(page.find("</script>", begin));
}

/// What the page's scripts read.
inline Json data_of(const std::string& page) {
  return Json::parse(between(page, "<script type=\"application/json\" id=\"data\">", "</script>"));
}

inline std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

}  // namespace kvproof::testing
