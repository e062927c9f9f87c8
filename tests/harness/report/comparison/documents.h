// Comparisons to render: the examples of tests/data/comparison, and with texts that nobody means well by.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "harness/record/record.h"
#include "tests/support/catch.h"

namespace kvproof::testing {

/// fine: nothing worse; regressed: a confirmed slow-down and a floor; changed: exact values of a baseline and a record;
/// inconclusive: cases joined, a control that is off; incomparable: a base that cannot be asked.
inline const std::vector<std::string>& example_names() {
  static const std::vector<std::string> names = {"fine", "regressed", "changed", "inconclusive", "incomparable"};
  return names;
}

inline std::string file_text(const std::string& relative) {
  std::ifstream stream(source_path(relative), std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// What the example is rendered to: its golden text, "md".
inline std::string golden(const std::string& name, const std::string& suffix) {
  return file_text("tests/data/comparison/" + name + "." + suffix);
}

inline Json example(const std::string& name) { return Json::parse(golden(name, "json")); }

inline const std::vector<std::string>& hostile_texts() {
  using namespace std::string_literals;
  static const std::vector<std::string> all = {"|",
                                               "a|b|c",
                                               "\\|",
                                               "'\"'",
                                               "<script>alert(1)</script>",
                                               "</details>",
                                               "<!--",
                                               "]]>",
                                               "&amp;",
                                               "\n",
                                               "a\r\nb",
                                               "\n::error::x",
                                               "::error file=a,line=1::x",
                                               "::stop-commands::x",
                                               "##[error]x",
                                               ":",
                                               ",title=x::",
                                               "%0A::error::x",
                                               "\x1b[31mred\x1b[0m",
                                               "\x00x"s,
                                               "\xff\xfe",
                                               "\t",
                                               "\u202e",
                                               "\u2028",
                                               "\xEF\xBF\xBF",
                                               "=1+1",
                                               "-1",
                                               "@SUM(A1)",
                                               "`",
                                               "**b**",
                                               "# h",
                                               "@everyone #1 http://x.example",
                                               "[a](b)",
                                               "$x$",
                                               "a, \"b\"\n=c",
                                               "日本語 😀"};
  return all;
}

/// The document with `text` in front of every string that is not a word of the format itself.
inline Json with_text_everywhere(Json document, const std::string& text) {
  const auto visit = [&](const auto& self, Json& node, const std::string& key) -> void {
    if (node.is_string()) {
      const bool word = key == "verdict" || key == "kind" || key == "exact" || key == "timing";
      if (!word) node = text + node.get<std::string>();
    } else if (node.is_object()) {
      for (auto& [name, value] : node.items())
        if (name != "schema") self(self, value, name);
    } else if (node.is_array()) {
      for (Json& value : node) self(self, value, key);
    }
  };
  visit(visit, document, "");
  return document;
}

}  // namespace kvproof::testing
