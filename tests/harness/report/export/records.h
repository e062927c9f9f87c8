// Records to export: the sample, the same from an older kvproof, and with texts that nobody means well by.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "harness/record/record.h"
#include "tests/support/catch.h"

namespace kvproof::testing {

inline Json sample() { return read_record(source_path("tests/data/record/sample.json")); }

inline std::string file_text(const std::string& relative) {
  std::ifstream stream(source_path(relative), std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// Of before runs verified and peaks were measured.
inline Json older_sample() {
  Json record = sample();
  record.erase("verifications");
  record["machine"].erase("peaks");
  for (Json& one : record["cases"]) {
    one.erase("verification");
    if (!one.contains("paths")) continue;
    for (const char* path : {"naive", "engine"}) one["paths"][path].erase("utilization");
    one["work"].erase("weight_bytes_stored");
  }
  return record;
}

inline const std::vector<std::string>& hostile_texts() {
  using namespace std::string_literals;
  static const std::vector<std::string> all = {"|",
                                               "a|b|c",
                                               "\\|",
                                               "\"",
                                               "'\"'",
                                               "<script>alert(1)</script>",
                                               "<!--",
                                               "-->",
                                               "]]>",
                                               "&amp;",
                                               "&#10;",
                                               "\n",
                                               "a\r\nb",
                                               "\x1b[31mred\x1b[0m",
                                               "\x00x"s,
                                               "\t",
                                               "\u202e",
                                               "\u2028",
                                               "\xEF\xBF\xBE",
                                               "\xEF\xBF\xBF",
                                               "=1+1",
                                               "+1",
                                               "-1",
                                               "@SUM(A1)",
                                               " =1",
                                               "`",
                                               "``x`",
                                               "**b**",
                                               "# h",
                                               "1. x",
                                               "    code",
                                               "@everyone #1 http://x.example",
                                               "~~s~~",
                                               "[a](b)",
                                               "$x$",
                                               ",",
                                               ";",
                                               "a, \"b\"\n=c",
                                               "日本語 😀",
                                               "\\"};
  return all;
}

/// The record with `text` in front of every string that is not a word of the format itself.
inline Json with_text_everywhere(Json record, const std::string& text) {
  const auto visit = [&](const auto& self, Json& node, const std::string& key) -> void {
    if (node.is_string()) {
      if (key != "verdict" && key != "status" && key != "working_set") node = text + node.get<std::string>();
    } else if (node.is_object()) {
      for (auto& [name, value] : node.items()) self(self, value, name);
    } else if (node.is_array()) {
      for (Json& value : node) self(self, value, key);
    }
  };
  visit(visit, record, "");
  return record;
}

}  // namespace kvproof::testing
