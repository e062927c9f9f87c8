#include "engine/tokenizer/split_pattern.h"

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "engine/error.h"
#include "tests/engine/tokenizer/cases.h"

namespace kvproof {
namespace {

using Jit = SplitPattern::Jit;

std::vector<std::string> pieces(const SplitPattern& pattern, const std::string& text) {
  const auto views = pattern.split(text);
  return {views.begin(), views.end()};
}

std::vector<std::string> pieces(const std::string& pattern, const std::string& text) {
  return pieces(SplitPattern(pattern, "file"), text);
}

std::string error_of(const std::string& pattern, const std::string& text = "") {
  try {
    SplitPattern(pattern, "file").split(text);
  } catch (const TokenizerError& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("pieces are tiktoken's", "[tokenizer][split]") {
  const auto jit = GENERATE(Jit::kIfAvailable, Jit::kOff);
  const auto cases = testing::tokenizer_cases();
  std::map<std::string, SplitPattern> patterns;
  for (const auto& [name, pattern] : cases["patterns"].items()) {
    patterns.emplace(name, SplitPattern(pattern.get<std::string>(), name, jit));
  }
  for (const auto& entry : cases["split"]) {
    CAPTURE(entry["pattern"], entry["text"].dump(-1, ' ', true), jit == Jit::kOff);
    CHECK(pieces(patterns.at(entry["pattern"]), entry["text"]) == entry["pieces"].get<std::vector<std::string>>());
  }
}

TEST_CASE("white space is Unicode's, inside and outside of classes", "[tokenizer][split]") {
  using Pieces = std::vector<std::string>;
  const std::string vowel_separator = "\u180E";  // white space to PCRE2's \s, not to Unicode since 6.3
  CHECK(pieces(R"(\s)", vowel_separator) == Pieces{});
  CHECK(pieces(R"([\s])", vowel_separator) == Pieces{});
  CHECK(pieces(R"(\S)", vowel_separator) == Pieces{vowel_separator});
  CHECK(pieces(R"([\S])", vowel_separator) == Pieces{vowel_separator});
  CHECK(pieces(R"([^\s])", vowel_separator) == Pieces{vowel_separator});
  const std::string all = "\t\n\v\f\r \u0085\u00A0\u1680\u2000\u2005\u200A\u2028\u2029\u202F\u205F\u3000";
  CHECK(pieces(R"(\s+)", "x" + all + "x") == Pieces{all});
  CHECK(pieces(R"([^\S]+)", "x" + all + "x") == Pieces{all});
  CHECK(pieces(R"(\S+)", "\x1C\u200B\u2060\uFEFF") == Pieces{"\x1C\u200B\u2060\uFEFF"});
}

TEST_CASE("word characters, the vertical tab, the dot and the end are Rust's", "[tokenizer][split]") {
  using Pieces = std::vector<std::string>;
  CHECK(pieces(R"(\w+)", "a_\u203F\u0301\u200D1 \u00B2") == Pieces{"a_\u203F\u0301\u200D1"});  // ² is no digit
  CHECK(pieces(R"(\W+)", "a\u00B2-b") == Pieces{"\u00B2-"});
  CHECK(pieces(R"([\w-]+)", "a-\u203F b") == Pieces{"a-\u203F", "b"});
  CHECK(pieces(R"(\v)", "\n\v\f") == Pieces{"\v"});
  CHECK(pieces(R"(.)", "\r\n\u2028") == Pieces{"\r", "\u2028"});
  CHECK(pieces(R"(a$)", "a\n") == Pieces{});
  CHECK(pieces(R"([]\]\\\w]+)", "]\\a-") == Pieces{"]\\a"});  // a bracket that is first, or escaped, ends no class
}

TEST_CASE("text between matches is dropped, and so are empty matches", "[tokenizer][split]") {
  using Pieces = std::vector<std::string>;
  CHECK(pieces("a+", "xaayya") == Pieces{"aa", "a"});
  CHECK(pieces("a*", "aa\u00E9aba") == Pieces{"aa", "a", "a"});  // behind é and b the search goes on
  CHECK(pieces("", "abc") == Pieces{});
  CHECK(pieces("(?<=a)b", "ab b") == Pieces{"b"});  // a match sees what stands before it
}

TEST_CASE("a pattern that cannot be used is an error with its byte", "[tokenizer][split]") {
  const std::string unusable = "file: pat_str is not a pattern that PCRE2 can compile: ";
  const std::string advice = "; use a tokenizer.pkl that nanochat wrote";
  CHECK(error_of("(abc") == unusable + "missing closing parenthesis, at byte 4 of '(abc'" + advice);
  // The byte is the original's although \s takes more room in PCRE2's version.
  CHECK(error_of(R"(\s\s[a)") ==
        unusable + R"(missing terminating ] for character class, at byte 6 of '\s\s[a')" + advice);
  const std::string differs =
      ", which tiktoken and PCRE2 read differently; write it without, as nanochat's own patterns are";
  CHECK(error_of(R"(\s\b)") == R"(file: pat_str has \b at byte 2)" + differs);
  CHECK(error_of(R"(a\h)") == R"(file: pat_str has \h at byte 1)" + differs);
  CHECK(error_of(R"([\W])") == R"(file: pat_str has \W inside a class at byte 1)" + differs);
  CHECK(error_of("[a[bc]]") == "file: pat_str has [ inside a class at byte 2" + differs);
  CHECK(error_of("[[:alpha:]]") == "file: pat_str has [ inside a class at byte 1" + differs);
  CHECK(error_of("[a&&b]") == "file: pat_str has && inside a class at byte 2" + differs);
  CHECK(error_of("[a--b]") == "file: pat_str has -- inside a class at byte 2" + differs);
  CHECK(error_of("[a~~b]") == "file: pat_str has ~~ inside a class at byte 2" + differs);
}

TEST_CASE("a pattern that backtracks without end is an error, not a hang", "[tokenizer][split]") {
  CHECK(error_of("(?:a+)+[bc]", std::string(40, 'a')) ==
        "file: pat_str cannot be matched at byte 0 of a text of 40 bytes: match limit exceeded; shorten the text, or "
        "use nanochat's pattern, which is linear");
}

TEST_CASE("a match too deep for the JIT's stack goes on in the interpreter", "[tokenizer][split]") {
  const std::string text = testing::repeated("aba", 1 << 20);
  CHECK(pieces("(?:a|b(?=a))+", text) == std::vector<std::string>{text});  // every repeat is kept for backtracking
}

TEST_CASE("one megabyte of anything splits in linear time", "[tokenizer][split]") {
  struct Run {
    std::string unit, end;
    std::size_t pieces;
  };
  const auto [unit, end, expected] = GENERATE(values<Run>({
      {"a", "", 1},
      {" ", "", 1},
      {" ", "x", 2},       // the last space goes with the x: the run is tried, given back, tried again
      {"\u3000", "!", 3},  // the last one is left alone: " ?" takes only a space along
      {"\n", "", 1},
      {"\r\n", "x", 2},
      {" \n", "x", 2},
      {"1", "", (1 << 20) / 2},
      {"\U0001F600", "", 1},
      {"'", "", 1},
      {"\u0301", "", 1},
      {"!", "\n\n", 1},
  }));
  const auto jit = GENERATE(Jit::kIfAvailable, Jit::kOff);
  CAPTURE(unit, end, jit == Jit::kOff);
  const SplitPattern pattern(testing::tokenizer_cases()["patterns"]["nanochat"].get<std::string>(), "file", jit);
  const std::string text = testing::repeated(unit, 1 << 20) + end;
  const auto before = std::chrono::steady_clock::now();
  const auto views = pattern.split(text);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - before;
  CHECK(views.size() == expected);
  std::size_t covered = 0;
  for (const auto view : views) covered += view.size();
  CHECK(covered == text.size());
  CHECK(elapsed.count() < 5);  // seconds; worst seen 0.06, quadratic is minutes
}

}  // namespace
}  // namespace kvproof
