#include "harness/report/text.h"

#include "harness/report/numbers.h"
#include "tests/support/catch.h"

using namespace kvproof;
using Lines = std::vector<std::string>;

TEST_CASE("width counts columns: wide characters two, combining marks none", "[report]") {
  CHECK(display_width("") == 0);
  CHECK(display_width("naïve – x") == 9);
  CHECK(display_width("日本語") == 6);
  CHECK(display_width("e\u0301") == 1);
  CHECK(display_width("👋🏽") == 4);  // two emoji, as most terminals show them
  CHECK(display_width("a\xff\xc3") == 3);
}

TEST_CASE("nothing that a terminal obeys is left in a text", "[report]") {
  CHECK(visible("a\nb\tc\rd") == "a\\nb\\tc\\rd");
  CHECK(visible("\x1b[31mred\x07") == "\\x1b[31mred\\x07");
  CHECK(visible(std::string("nul\0", 4)) == "nul\\x00");
  CHECK(visible("\x7f\u0085\u009b") == "\\x7f\\x85\\x9b");  // the C1 control 9b begins a sequence, too
  CHECK(visible("abc\u202edef\u2066") == "abc\\u202edef\\u2066");
  CHECK(visible("\u2028\ufeff") == "\\u2028\\ufeff");
  CHECK(visible("C:\\new") == "C:\\\\new");  // or a real line end could not be told from these two letters
  CHECK(visible("é日👋") == "é日👋");
}

TEST_CASE("bytes that are not UTF-8 become one replacement character each", "[report]") {
  CHECK(visible("a\xff") == "a\uFFFD");
  CHECK(visible("\xc3") == "\uFFFD");            // cut off
  CHECK(visible("\xc0\xaf") == "\uFFFD\uFFFD");  // overlong
  CHECK(visible("\xe0\x80\xaf") == "\uFFFD\uFFFD\uFFFD");
  CHECK(visible("\xed\xa0\x80") == "\uFFFD\uFFFD\uFFFD");  // a surrogate
  CHECK(visible("\xf4\x90\x80\x80") == "\uFFFD\uFFFD\uFFFD\uFFFD");
}

TEST_CASE("a cut keeps whole characters and says that something is gone", "[report]") {
  CHECK(cut("hello", 5) == "hello");
  CHECK(cut("hello", 4) == "hel…");
  CHECK(cut("日本語", 6) == "日本語");
  CHECK(cut("日本語", 5) == "日本…");
  CHECK(cut("日本語", 4) == "日…");  // the second does not fit beside the dots
  CHECK(cut("e\u0301tude", 3) == "e\u0301t…");
  CHECK(cut_front("hello", 0) == "hello");
  CHECK(cut_front("hello", 2) == "…lo");
  CHECK(cut_front("日本語", 1) == "…本語");
}

TEST_CASE("the common beginning of two texts ends before the first other character", "[report]") {
  CHECK(common_width("abc", "abd") == 2);
  CHECK(common_width("日本", "日木") == 2);  // their last bytes differ, their first do not
  CHECK(common_width("ab", "abc") == 2);
  CHECK(common_width("", "x") == 0);
}

TEST_CASE("padding counts columns", "[report]") {
  CHECK(left("é", 3) == "é  ");
  CHECK(right("日", 3) == " 日");
  CHECK(right("long", 2) == "long");
}

TEST_CASE("lines are broken at blanks, and words only where they must be", "[report]") {
  CHECK(wrap("one two three", 7) == Lines{"one two", "three"});
  CHECK(wrap("one two three", 6) == Lines{"one", "two", "three"});
  CHECK(wrap("abcdefgh ij", 3) == Lines{"abc", "def", "gh", "ij"});
  CHECK(wrap("a   b", 3) == Lines{"a", "b"});
  CHECK(wrap("", 5) == Lines{""});
  CHECK(wrap("日本語", 1) == Lines{"日", "本", "語"});  // narrower than a character: no endless loop
}

TEST_CASE("a folded text keeps its blanks and ends in dots", "[report]") {
  CHECK(fold("ab cd ef", 3, 3) == Lines{"ab ", "cd ", "ef"});
  CHECK(fold("ab cd ef gh", 3, 2) == Lines{"ab ", "cd…"});
  CHECK(fold("", 3, 2) == Lines{""});
}

TEST_CASE("milliseconds have four digits that mean something", "[report]") {
  CHECK(milliseconds(std::nullopt) == "–");
  CHECK(milliseconds(0.0) == "0 ms");
  CHECK(milliseconds(912.0) == "0.0009120 ms");
  CHECK(milliseconds(3'451'234.0) == "3.451 ms");
  CHECK(milliseconds(9'999'960.0) == "10.00 ms");  // not 10.000
  CHECK(milliseconds(402'123'456.0) == "402.1 ms");
  CHECK(milliseconds(12'345'678'900.0) == "12350 ms");
}

TEST_CASE("rates, ratios, small numbers, sizes and counts are short", "[report]") {
  CHECK(plain_number(0.91234) == "0.9123");
  CHECK(plain_number(220.27) == "220.3");
  CHECK(plain_number(123456.7) == "123457");
  CHECK(times(0.979) == "0.98x");
  CHECK(times(9.994) == "9.99x");
  CHECK(times(9.996) == "10.0x");
  CHECK(times(34.78) == "34.8x");
  CHECK(times(99.96) == "100x");
  CHECK(times(std::nullopt) == "–");
  CHECK(small_number(1.43051e-06) == "1.4e-06");
  CHECK(small_number(0.208) == "0.208");
  CHECK(small_number(0.0) == "0");
  CHECK(small_number(31200.0) == "31200");
  CHECK(bytes_text(512) == "512 B");
  CHECK(bytes_text(49152) == "48 KiB");
  CHECK(bytes_text(2621440) == "2.5 MiB");
  CHECK(bytes_text(int64_t{25276502016}) == "23.5 GiB");
  CHECK(bytes_text(std::nullopt) == "–");
  CHECK(count_text(800) == "800");
  CHECK(count_text(5243657) == "5.2 M");
  CHECK(count_text(561000000) == "561 M");
  CHECK(counted(1, "row") == "1 row");
  CHECK(counted(0, "row") == "0 rows");
}
