#include "engine/tokenizer/bpe.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "tests/engine/tokenizer/cases.h"

namespace kvproof {
namespace {

std::vector<std::string> with_single_bytes(const std::vector<std::string>& tokens) {
  std::vector<std::string> all;
  for (int byte = 0; byte < 256; ++byte) all.emplace_back(1, static_cast<char>(byte));
  all.insert(all.end(), tokens.begin(), tokens.end());
  return all;
}

std::vector<TokenId> encode(const Bpe& bpe, std::string_view piece) {
  Bpe::Workspace workspace;
  std::vector<TokenId> ids;
  bpe.encode(piece, workspace, ids);
  return ids;
}

/// The definition, word by word and slow: of all neighbours that make a token merge the lowest, leftmost first.
std::vector<TokenId> encode_by_definition(const std::vector<std::string>& tokens, const std::string& piece) {
  const auto rank = [&](const std::string& bytes) {
    return std::find(tokens.begin(), tokens.end(), bytes) - tokens.begin();
  };
  const auto none = static_cast<std::ptrdiff_t>(tokens.size());
  if (rank(piece) != none) return {static_cast<TokenId>(rank(piece))};
  std::vector<std::string> parts;
  for (const char byte : piece) parts.emplace_back(1, byte);
  while (true) {
    std::ptrdiff_t best = none;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      if (rank(parts[i] + parts[i + 1]) < best) best = rank(parts[i] + parts[i + 1]), at = i;
    }
    if (best == none) break;
    parts[at] += parts[at + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  std::vector<TokenId> ids;
  for (const auto& part : parts) ids.push_back(static_cast<TokenId>(rank(part)));
  return ids;
}

TEST_CASE("neighbours merge by rank, equal ranks leftmost first", "[tokenizer][bpe]") {
  // 256 "ab", 257 "bc", 258 "aa", 259 "abc"
  const Bpe bpe(with_single_bytes({"ab", "bc", "aa", "abc"}));
  CHECK(encode(bpe, "") == std::vector<TokenId>{});
  CHECK(encode(bpe, "a") == std::vector<TokenId>{'a'});
  CHECK(encode(bpe, "abc") == std::vector<TokenId>{259});
  CHECK(encode(bpe, "xabc") == std::vector<TokenId>{'x', 259});
  CHECK(encode(bpe, "bcab") == std::vector<TokenId>{257, 256});
  CHECK(encode(bpe, "aaa") == std::vector<TokenId>{258, 'a'});   // leftmost
  CHECK(encode(bpe, "aaab") == std::vector<TokenId>{258, 256});  // "ab" first, though "aa" stands further left
  CHECK(encode(bpe, "aab") == std::vector<TokenId>{'a', 256});
  CHECK(encode(bpe, std::string("\0\xFF", 2)) == std::vector<TokenId>{0, 255});
}

TEST_CASE("a piece that is a token is that token, even where no merges lead to it", "[tokenizer][bpe]") {
  const Bpe bpe(with_single_bytes({"abcd"}));
  CHECK(encode(bpe, "abcd") == std::vector<TokenId>{256});
  CHECK(encode(bpe, "abcde") == std::vector<TokenId>{'a', 'b', 'c', 'd', 'e'});
}

TEST_CASE("a merge that opens one of lower rank is followed by it", "[tokenizer][bpe]") {
  const Bpe bpe(with_single_bytes({"abc", "de", "bc"}));  // 258 "bc" is found first, then 256 "abc" before 257 "de"
  CHECK(encode(bpe, "abcde") == std::vector<TokenId>{256, 257});
  const Bpe crossing(with_single_bytes({"bcd", "cd", "bc", "de"}));  // "cd" opens "bcd", which leaves "de" nothing
  CHECK(encode(crossing, "abcde") == std::vector<TokenId>{'a', 256, 'e'});
}

TEST_CASE("ids are tiktoken's where ranks come in random order", "[tokenizer][bpe]") {
  for (const auto& entry : testing::tokenizer_cases()["merge"]) {
    const Bpe bpe(with_single_bytes(entry["tokens"].get<std::vector<std::string>>()));
    for (const auto& text : entry["texts"]) {
      CAPTURE(text["text"]);
      CHECK(encode(bpe, text["text"].get<std::string>()) == text["ids"].get<std::vector<TokenId>>());
    }
  }
}

TEST_CASE("the heap's merges are the definition's", "[tokenizer][bpe]") {
  std::mt19937 random(GENERATE(1, 2, 3, 4, 5, 6));
  const auto draw = [&](int length) {
    std::string text;
    for (int i = 0; i < length; ++i) text += "abc"[random() % 3];
    return text;
  };
  std::vector<std::string> tokens;
  while (tokens.size() < 60) {
    const std::string token = draw(2 + static_cast<int>(random() % 4));
    if (std::find(tokens.begin(), tokens.end(), token) == tokens.end()) tokens.push_back(token);
  }
  const auto all = with_single_bytes(tokens);
  const Bpe bpe(all);
  Bpe::Workspace used_again;
  for (int i = 0; i < 100; ++i) {
    const std::string piece = draw(1 + static_cast<int>(random() % 60));
    CAPTURE(piece);
    std::vector<TokenId> ids;
    bpe.encode(piece, used_again, ids);
    CHECK(ids == encode_by_definition(all, piece));
  }
}

TEST_CASE("a piece of one megabyte takes no quadratic time", "[tokenizer][bpe]") {
  std::vector<std::string> runs;
  for (std::size_t length = 2; length <= 64; length *= 2) runs.emplace_back(length, 'a');
  const Bpe bpe(with_single_bytes(runs));  // every byte takes part in six merges
  const auto before = std::chrono::steady_clock::now();
  const auto ids = encode(bpe, std::string(1 << 20, 'a'));
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - before;
  CHECK(ids == std::vector<TokenId>(1 << 14, 261));
  CHECK(elapsed.count() < 10);  // seconds; worst seen 0.3, quadratic is minutes
}

}  // namespace
}  // namespace kvproof
