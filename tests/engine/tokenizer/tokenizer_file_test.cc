#include "engine/tokenizer/tokenizer_file.h"

#include <cstdint>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "engine/checkpoint/pickle.h"
#include "engine/error.h"
#include "engine/tokenizer/tokenizer.h"
#include "tests/engine/tokenizer/pickled_encoding.h"
#include "tests/support/catch.h"

namespace kvproof {
namespace {

using testing::EncodingFields;
using testing::pickled;
using testing::pickled_bytes;
using testing::pickled_dict;
using testing::TokenizerFolder;

/// place and message of what loading throws.
std::pair<std::string, std::string> folder_error(const std::filesystem::path& folder) {
  try {
    Tokenizer::load(folder);
  } catch (const TokenizerError& error) {
    CHECK(error.kind() == "tokenizer");
    return {error.place(), error.message()};
  }
  return {"", "no error"};
}

std::string error_of_pickle(const std::string& bytes) {
  const TokenizerFolder folder(bytes);
  const auto [place, message] = folder_error(folder.path());
  CHECK(place == folder.file());
  return message;
}

TEST_CASE("a sound file gives pattern, tokens and special tokens", "[tokenizer][file]") {
  EncodingFields fields;
  fields.special.emplace_back("<|extra|>", 267);         // more than nanochat's nine may be there
  std::swap(fields.ranks.front(), fields.ranks.back());  // the order in the dict does not matter
  SECTION("as nanochat writes it") {}
  SECTION("with the vocabulary's size") { fields.more.emplace_back("explicit_n_vocab", pickled(268)); }
  SECTION("with None for the vocabulary's size") {
    fields.more.emplace_back("explicit_n_vocab", testing::pickled_none());
  }
  const TokenizerFolder folder(fields.pickle());
  const TokenizerFile file = read_tokenizer_file(folder.path());
  CHECK(file.place == folder.file());
  CHECK(file.pattern == fields.pat_str);
  REQUIRE(file.tokens.size() == 258);
  CHECK(file.tokens[0] == std::string(1, '\0'));
  CHECK(file.tokens[255] == "\xFF");
  CHECK(file.tokens[257] == "abc");
  REQUIRE(file.special.size() == 10);
  CHECK(file.special[9] == "<|extra|>");

  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  CHECK(tokenizer.vocab_size() == 268);
  CHECK(tokenizer.special().bos == 258);
  CHECK(tokenizer.special().output_end == 266);
  CHECK(tokenizer.encode("abc  c") == std::vector<TokenId>{257, ' ', ' ', 'c'});
}

TEST_CASE("a folder without a tokenizer is an error that says what is there", "[tokenizer][file]") {
  using Pair = std::pair<std::string, std::string>;
  const TokenizerFolder folder;
  const std::string missing = (folder.path() / "missing").string();
  CHECK(folder_error(missing) == Pair{missing,
                                      "expected a folder that holds tokenizer.pkl, found nothing; copy nanochat's "
                                      "tokenizer folder here or name another one"});
  const std::string advice = "; copy nanochat's tokenizer folder here or name another one";
  CHECK(folder_error(folder.path()) ==
        Pair{folder.file(), "expected a file that can be read; the folder holds nothing" + advice});
  for (const char* name : {"b", "a", "token_bytes.pt"}) std::ofstream(folder.path() / name) << "x";
  CHECK(folder_error(folder.path()).second ==
        "expected a file that can be read; the folder holds 'a', 'b', 'token_bytes.pt'" + advice);
  CHECK(folder_error(folder.path() / "a").second ==
        "expected a folder that holds tokenizer.pkl, found a file" + advice);
  std::filesystem::create_directory(folder.file());
  CHECK_THAT(folder_error(folder.path()).second,
             Catch::Matchers::Contains("the folder holds 'a', 'b', 'token_bytes.pt', "
                                       "'tokenizer.pkl'"));
}

TEST_CASE("a damaged or foreign pickle is the tokenizer's error, in the pickle reader's words", "[tokenizer][file]") {
  const std::string whole = EncodingFields().pickle();
  const std::string foreign = testing::pickle_of("os", "system", pickled("true"));
  const std::string bytes =
      GENERATE_COPY(std::string(), whole.substr(0, whole.size() / 2), whole + "x", foreign, std::string("PK\x03\x04"));
  const TokenizerFolder folder(bytes);
  const auto [place, message] = folder_error(folder.path());
  try {
    read_pickle(bytes, folder.file(), [](std::string_view global) { return global == "tiktoken.core.Encoding"; });
    FAIL("the pickle reader accepts this");
  } catch (const CheckpointError& error) {
    CHECK(place == error.place());
    CHECK(message == error.message());
    CHECK_THAT(place, Catch::Matchers::Contains(folder.file()));
  }
}

TEST_CASE("a pickle of something else says what it is", "[tokenizer][file]") {
  const std::string advice = "; use a tokenizer.pkl that nanochat wrote";
  CHECK(error_of_pickle("\x80\x04" + pickled_dict({}) + ".") ==
        "expected a pickled tiktoken.core.Encoding, found dict" + advice);
  CHECK(error_of_pickle("\x80\x04" + pickled("tiktoken.core") + pickled("Encoding") + "\x93)\x81.") ==
        "expected tiktoken.core.Encoding with a state of type dict, found none" + advice);
  CHECK(error_of_pickle(testing::pickle_of("tiktoken.core", "Encoding", pickled(1))) ==
        "expected tiktoken.core.Encoding with a state of type dict, found int" + advice);
  // What tiktoken pickles for the encodings it ships.
  CHECK(error_of_pickle(testing::pickle_of("tiktoken.core", "Encoding", pickled("cl100k_base"))) ==
        "expected the vocabulary itself, found only the name of a tiktoken encoding, 'cl100k_base'" + advice);
}

TEST_CASE("every wrong field is an error of its own", "[tokenizer][file]") {
  struct Fault {
    std::function<void(EncodingFields&)> spoil;
    std::string message;
  };
  const auto without = [](const char* name) { return [=](EncodingFields& f) { f.without = {name}; }; };
  const auto with_state = [](const std::string& ranks, const std::string& special) {
    return testing::pickle_of("tiktoken.core", "Encoding",
                              pickled_dict({{pickled("pat_str"), pickled("a")},
                                            {pickled("mergeable_ranks"), ranks},
                                            {pickled("special_tokens"), special}}));
  };
  const std::string advice = "; use a tokenizer.pkl that nanochat wrote";
  const std::vector<Fault> faults = {
      {without("pat_str"), "expected the field pat_str, found none"},
      {without("mergeable_ranks"), "expected the field mergeable_ranks, found none"},
      {without("special_tokens"), "expected the field special_tokens, found none"},
      {[](EncodingFields& f) { f.pat_str = "(a"; },
       "pat_str is not a pattern that PCRE2 can compile: missing closing parenthesis, at byte 2 of '(a'"},
      {[](EncodingFields& f) { f.ranks[257].second = 256; }, "mergeable_ranks: id 256 is both 61 62 and 61 62 63"},
      {[](EncodingFields& f) { f.ranks[257].first = "ab"; }, "mergeable_ranks: 61 62 has two ids"},
      {[](EncodingFields& f) { f.ranks[257].first = ""; },
       "mergeable_ranks: expected keys that are not empty, found an empty one"},
      {[](EncodingFields& f) { f.ranks[257].second = 258; },
       "mergeable_ranks: expected the ids 0 to 257 for 258 entries, found 258 for 61 62 63"},
      {[](EncodingFields& f) { f.ranks[257].second = -1; },
       "mergeable_ranks: expected the ids 0 to 257 for 258 entries, found -1 for 61 62 63"},
      {[](EncodingFields& f) { f.ranks[7].first = "zz", f.ranks[200].first = "zzz"; },
       "mergeable_ranks: expected all 256 single bytes, found 254; the first one missing is 07"},
      {[](EncodingFields& f) { f.ranks.clear(); },
       "mergeable_ranks: expected all 256 single bytes, found 0; the first one missing is 00"},
      {[](EncodingFields& f) { f.special[8].second = 267; },
       "special_tokens: expected the ids 258 to 266 for 9 entries, found 267 for '<|output_end|>'"},
      {[](EncodingFields& f) { f.special[0].second = 257; },
       "special_tokens: expected the ids 258 to 266 for 9 entries, found 257 for '<|bos|>'"},
      {[](EncodingFields& f) { f.special[1].second = 258; },
       "special_tokens: id 258 is both '<|bos|>' and '<|user_start|>'"},
      {[](EncodingFields& f) { f.special[1].first = "<|bos|>"; }, "special_tokens: '<|bos|>' has two ids"},
      {[](EncodingFields& f) { f.special.resize(2); },
       "special_tokens: expected '<|user_end|>', found '<|bos|>', '<|user_start|>'"},
      {[](EncodingFields& f) { f.special.clear(); }, "special_tokens: expected '<|bos|>', found none"},
      {[](EncodingFields& f) { f.special[8].first = "<|other|>"; },
       "special_tokens: expected '<|output_end|>', found '<|bos|>', '<|user_start|>', '<|user_end|>', "
       "'<|assistant_start|>', '<|assistant_end|>', '<|python_start|>', '<|python_end|>', '<|output_start|>', "
       "'<|other|>'"},
      {[](EncodingFields& f) { f.more.emplace_back("explicit_n_vocab", pickled(268)); },
       "explicit_n_vocab: expected 267, the number of tokens and special tokens, found 268"},
      {[](EncodingFields& f) { f.more.emplace_back("explicit_n_vocab", pickled("267")); },
       "explicit_n_vocab: expected int, found str"},
  };
  for (const auto& [spoil, message] : faults) {
    EncodingFields fields;
    spoil(fields);
    CHECK(error_of_pickle(fields.pickle()) == message + advice);
  }
  const std::string empty = pickled_dict({});
  CHECK(error_of_pickle(with_state(pickled(3), empty)) == "mergeable_ranks: expected dict, found int" + advice);
  CHECK(error_of_pickle(with_state(pickled_dict({{pickled("a"), pickled(0)}}), empty)) ==
        "mergeable_ranks: expected bytes to int, found str to int" + advice);
  CHECK(error_of_pickle(with_state(pickled_dict({{pickled_bytes("a"), pickled("0")}}), empty)) ==
        "mergeable_ranks: expected bytes to int, found bytes to str" + advice);
}

}  // namespace
}  // namespace kvproof
