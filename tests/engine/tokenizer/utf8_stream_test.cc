#include "engine/tokenizer/utf8_stream.h"

#include <string>
#include <vector>

#include "tests/engine/tokenizer/cases.h"

namespace kvproof {
namespace {

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

TEST_CASE("invalid bytes are replaced, and found, as CPython does it", "[tokenizer][utf8]") {
  for (const auto& entry : testing::tokenizer_cases()["utf8"]) {
    CAPTURE(entry["bytes"]);
    const std::string bytes = from_hex(entry["bytes"]);
    CHECK(decode_utf8_replacing(bytes) == entry["text"].get<std::string>());
    const auto& expected = entry["first_invalid"];
    const auto offset = first_invalid_utf8(bytes);
    REQUIRE(offset.has_value() == !expected.is_null());
    if (offset) CHECK(*offset == expected);
  }
}

TEST_CASE("an invalid byte is found wherever it stands in a run of ASCII", "[tokenizer][utf8]") {
  for (std::size_t offset = 0; offset < 40; ++offset) {
    std::string text(40, 'a');
    CHECK_FALSE(first_invalid_utf8(text));
    text[offset] = '\x80';
    CHECK(first_invalid_utf8(text) == offset);
  }
}

TEST_CASE("pieces of a stream join to the whole decode, wherever it is cut", "[tokenizer][utf8]") {
  for (const auto& entry : testing::tokenizer_cases()["utf8"]) {
    const std::string bytes = from_hex(entry["bytes"]);
    const std::string expected = entry["text"];
    for (std::size_t first = 0; first <= bytes.size(); ++first) {
      for (std::size_t second = first; second <= bytes.size(); ++second) {
        CAPTURE(entry["bytes"], first, second);
        Utf8Stream stream;
        std::string text = stream.push(bytes.substr(0, first));
        text += stream.push(bytes.substr(first, second - first));
        text += stream.push(bytes.substr(second));
        text += stream.finish();
        CHECK(text == expected);
      }
    }
    Utf8Stream bytewise;
    std::string text;
    for (const char byte : bytes) text += bytewise.push({&byte, 1});
    CHECK(text + bytewise.finish() == expected);
  }
}

TEST_CASE("a stream holds back exactly what may still become a character", "[tokenizer][utf8]") {
  Utf8Stream stream;
  CHECK(stream.push("a\xF0\x9F") == "a");
  CHECK(stream.push("") == "");
  CHECK(stream.push("\x98") == "");
  CHECK(stream.push("\x80z") == "😀z");
  CHECK(stream.push("\xE2\x82") == "");
  CHECK(stream.push("b") == "\uFFFDb");              // the next byte decides, not the end
  CHECK(stream.push("\xED\xA0") == "\uFFFD\uFFFD");  // no character begins like a surrogate: nothing to wait for
  CHECK(stream.push("\xC3") == "");
  CHECK(stream.finish() == "\uFFFD");
  CHECK(stream.finish() == "");  // and is as new
  CHECK(stream.push("\xA9") == "\uFFFD");
}

}  // namespace
}  // namespace kvproof
