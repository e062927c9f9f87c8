#include "engine/tokenizer/tokenizer.h"

#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "engine/error.h"
#include "engine/tokenizer/utf8_stream.h"
#include "tests/engine/tokenizer/cases.h"

namespace kvproof {
namespace {

using testing::demo;

using testing::read_source_json;
using Ids = std::vector<TokenId>;

void check_special(const Tokenizer& tokenizer, const nlohmann::json& expected) {
  for (const auto& [name, id] : expected.items()) {
    CAPTURE(name);
    CHECK(tokenizer.encode_special(name) == id);
    CHECK(tokenizer.token_bytes(id) == name);
    CHECK(tokenizer.is_special(id));
    CHECK(tokenizer.decode({id.get<TokenId>()}) == name);
  }
  const SpecialTokens& special = tokenizer.special();
  CHECK(special.bos == expected["<|bos|>"]);
  CHECK(special.user_start == expected["<|user_start|>"]);
  CHECK(special.user_end == expected["<|user_end|>"]);
  CHECK(special.assistant_start == expected["<|assistant_start|>"]);
  CHECK(special.assistant_end == expected["<|assistant_end|>"]);
  CHECK(special.python_start == expected["<|python_start|>"]);
  CHECK(special.python_end == expected["<|python_end|>"]);
  CHECK(special.output_start == expected["<|output_start|>"]);
  CHECK(special.output_end == expected["<|output_end|>"]);
}

TEST_CASE("every generation's tokenizer encodes as nanochat's", "[tokenizer][golden]") {
  const std::string generation =
      GENERATE("2025-10", "2025-12", "2026-01", "2026-01-windows", "2026-02", "2026-02-softcap20", "2026-03a", "head");
  CAPTURE(generation);
  const std::string folder = "harness/verify/vectors/generations/" + generation;
  const Tokenizer tokenizer = Tokenizer::load(testing::source_path(folder + "/tokenizer"));
  const auto golden = read_source_json(folder + "/golden.json");
  REQUIRE(golden["tokenizer_cases"].size() == 15);
  for (const auto& entry : golden["tokenizer_cases"]) {
    CAPTURE(entry["text"]);
    CHECK(tokenizer.encode(entry["text"].get<std::string>()) == entry["ids"].get<Ids>());
    CHECK(tokenizer.decode(entry["ids"].get<Ids>()) == entry["text"]);
  }
  REQUIRE(golden["prompts"].size() == golden["prompt_tokens"].size());
  for (std::size_t i = 0; i < golden["prompts"].size(); ++i) {
    Ids ids = {tokenizer.special().bos};
    for (const TokenId id : tokenizer.encode(golden["prompts"][i].get<std::string>())) ids.push_back(id);
    CHECK(ids == golden["prompt_tokens"][i].get<Ids>());
  }
  check_special(tokenizer, golden["special"]);
}

TEST_CASE("the demo checkpoint's texts and answers are nanochat's", "[tokenizer][golden]") {
  const auto golden = read_source_json("tests/golden/demo-d4.json");
  check_special(demo(), golden["special"]);
  CHECK(demo().vocab_size() == 2048);
  for (const auto& entry : golden["cases"]) {
    CAPTURE(entry["text"]);
    const SpecialTokens& special = demo().special();
    const bool chat = entry["kind"] == "chat";
    Ids ids = {special.bos};
    if (chat) ids.push_back(special.user_start);
    for (const TokenId id : demo().encode(entry["text"].get<std::string>())) ids.push_back(id);
    if (chat) ids.insert(ids.end(), {special.user_end, special.assistant_start});
    CHECK(ids == entry["tokens"].get<Ids>());
    auto answer = entry["engine_greedy"]["tokens"].get<Ids>();
    answer.erase(answer.begin(), answer.begin() + static_cast<std::ptrdiff_t>(ids.size()));  // the prompt comes first
    CHECK(demo().decode(answer) == entry["engine_greedy"]["text"]);
  }
}

TEST_CASE("ids of hard texts are tiktoken's, and decode to the text", "[tokenizer][golden]") {
  int compared = 0;
  for (const auto& entry : testing::tokenizer_cases()["split"]) {
    if (!entry.contains("demo_d4_ids")) continue;
    CAPTURE(entry["text"]);
    const Ids ids = demo().encode(entry["text"].get<std::string>());
    CHECK(ids == entry["demo_d4_ids"].get<Ids>());
    CHECK(demo().decode(ids) == entry["text"]);
    ++compared;
  }
  CHECK(compared == 171);
}

TEST_CASE("text never becomes a special token", "[tokenizer]") {
  for (const TokenId id : demo().encode("<|bos|><|user_start|> <|assistant_end|>")) CHECK_FALSE(demo().is_special(id));
  CHECK_FALSE(demo().is_special(-1));
  CHECK_FALSE(demo().is_special(2038));
  CHECK(demo().is_special(2039));
  CHECK(demo().is_special(2047));
  CHECK_FALSE(demo().is_special(2048));
}

TEST_CASE("encoding any text and decoding it gives the text, whole and as a stream", "[tokenizer][property]") {
  std::mt19937 random(GENERATE(range(1, 21)));
  std::string text;
  for (int i = 0; i < 200; ++i) {
    const uint32_t limit = std::vector<uint32_t>{0x80, 0x800, 0x10000, 0x110000}[random() % 4];
    const uint32_t code = random() % limit;
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else if (code < 0x800) {
      text += {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
    } else if (code < 0x10000 && (code < 0xD800 || code > 0xDFFF)) {
      text += {static_cast<char>(0xE0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3F)),
               static_cast<char>(0x80 | (code & 0x3F))};
    } else if (code >= 0x10000) {
      text += {static_cast<char>(0xF0 | code >> 18), static_cast<char>(0x80 | (code >> 12 & 0x3F)),
               static_cast<char>(0x80 | (code >> 6 & 0x3F)), static_cast<char>(0x80 | (code & 0x3F))};
    }
  }
  const Ids ids = demo().encode(text);
  CHECK(demo().decode(ids) == text);
  Utf8Stream stream;
  std::string streamed;
  for (const TokenId id : ids) streamed += stream.push(demo().token_bytes(id));
  CHECK(streamed + stream.finish() == text);
  for (std::size_t cut = 0; cut <= ids.size(); ++cut) {  // an answer may stop inside a character
    const Ids begin(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(cut));
    Utf8Stream cut_stream;
    std::string cut_text;
    for (const TokenId id : begin) cut_text += cut_stream.push(demo().token_bytes(id));
    REQUIRE(cut_text + cut_stream.finish() == demo().decode(begin));
  }
}

TEST_CASE("tokens that are no text decode with replacements", "[tokenizer]") {
  const Ids bytes = {0xF0, 0x9F, 'a', 0xFF};  // in nanochat's vocabularies the first 256 ids are the bytes
  CHECK(demo().decode(bytes) == "\uFFFDa\uFFFD");
  CHECK(demo().decode({}) == "");
}

TEST_CASE("what cannot be encoded or decoded is an error", "[tokenizer]") {
  const auto message_of = [](auto&& action) {
    try {
      action();
    } catch (const TokenizerError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const std::string invalid = ", which no character can have there; convert the text to UTF-8";
  CHECK(message_of([] { demo().encode("na\xC3\xAFve\xED\xA0\x80"); }) ==
        "text: expected UTF-8, found byte ed at offset 6" + invalid);
  CHECK(message_of([] { demo().encode("x\xE2\x82"); }) == "text: expected UTF-8, found byte e2 at offset 1" + invalid);
  CHECK(message_of([] { demo().encode(std::string_view("x", std::size_t{1} << 32)); }) ==  // refused before it is read
        "text: expected at most 4294967295 bytes at once, found 4294967296; encode it in parts");
  CHECK(message_of([] { demo().encode_special("<|eos|>"); }) ==
        "there is no special token '<|eos|>'; use one of '<|bos|>', '<|user_start|>', '<|user_end|>', "
        "'<|assistant_start|>', '<|assistant_end|>', '<|python_start|>', '<|python_end|>', '<|output_start|>', "
        "'<|output_end|>'");
  CHECK(message_of([] { demo().token_bytes(2048); }) ==
        "there is no token 2048, ids go from 0 to 2047; use the model's own tokenizer");
  CHECK(message_of([] {
          demo().decode({5, -1});
        }) == "there is no token -1, ids go from 0 to 2047; use the model's own tokenizer");
}

TEST_CASE("one megabyte of anything encodes in well under a second", "[tokenizer]") {
  const std::string unit = GENERATE(as<std::string>(), "a", " ", "\n", "\r\n", "7", "\U0001F600", "\u3000", "the ", "'",
                                    "In the beginning, it's 12 \u4F60\u597D \n\n\t 3.5 \U0001F600! ");
  CAPTURE(unit);
  const std::string text = testing::repeated(unit, 1 << 20);
  const auto before = std::chrono::steady_clock::now();
  const Ids ids = demo().encode(text);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - before;
  CHECK(demo().decode(ids) == text);
  CHECK(elapsed.count() < 5);  // seconds; worst seen 0.2, room for slow builds; quadratic is minutes
}

}  // namespace
}  // namespace kvproof
