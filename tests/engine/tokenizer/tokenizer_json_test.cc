#include "engine/tokenizer/tokenizer_json.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <vector>

#include "engine/error.h"
#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/split_pattern.h"
#include "tests/engine/tokenizer/cases.h"

namespace kvproof {
namespace {

using nlohmann::json;
using testing::read_source_json;
using testing::source_path;

const std::string kFolder = source_path("tests/golden/huggingface");

const Tokenizer& tokenizer() {
  static const Tokenizer kTokenizer = Tokenizer::load(kFolder);
  return kTokenizer;
}

const json& golden_json() {
  static const json kJson = read_source_json("tests/golden/huggingface/tokenizer.json");
  return kJson;
}

TEST_CASE("texts become the ids of Hugging Face's tokenizers", "[tokenizer][json]") {
  for (const auto& c : read_source_json("tests/golden/huggingface/tokenizer_cases.json")["encode"]) {
    CAPTURE(c["text"]);
    CHECK(tokenizer().encode(c["text"].get<std::string>()) == c["ids"].get<std::vector<TokenId>>());
  }
}

TEST_CASE("ids become the text of Hugging Face's tokenizers, broken characters replaced alike", "[tokenizer][json]") {
  for (const auto& c : read_source_json("tests/golden/huggingface/tokenizer_cases.json")["decode"]) {
    CAPTURE(c["ids"]);
    CHECK(tokenizer().decode(c["ids"].get<std::vector<TokenId>>()) == c["text"].get<std::string>());
  }
}

TEST_CASE("special tokens are found by name, whatever their ids", "[tokenizer][json]") {
  CHECK(tokenizer().vocab_size() == 331);
  CHECK(tokenizer().special().bos == 0);
  CHECK(tokenizer().special().output_end == 8);
  CHECK(tokenizer().encode_special("<|assistant_end|>") == 4);
  CHECK(tokenizer().is_special(8));
  CHECK_FALSE(tokenizer().is_special(9));
  CHECK_FALSE(tokenizer().is_special(330));
  CHECK_FALSE(tokenizer().is_special(331));
  CHECK(tokenizer().token_bytes(4) == "<|assistant_end|>");
  CHECK(tokenizer().token_bytes(9) == "!");
  const auto ids = tokenizer().encode("<|bos|>");  // as text
  CHECK(ids.size() > 1);
  CHECK(tokenizer().decode(ids) == "<|bos|>");
}

TEST_CASE("special tokens may also stand behind the vocabulary alone", "[tokenizer][json]") {
  json moved = golden_json();
  json vocab = json::object();
  for (const auto& [name, id] : moved["model"]["vocab"].items()) {
    if (id.get<int>() > 8) vocab[name] = id.get<int>() - 9;
  }
  moved["model"]["vocab"] = vocab;
  for (auto& added : moved["added_tokens"]) added["id"] = added["id"].get<int>() + 322;
  const auto file = read_tokenizer_json(moved.dump(), "t");
  REQUIRE(file.tokens.size() == 331);
  CHECK(file.tokens[0] == "!");
  CHECK(file.tokens[330] == "<|output_end|>");
  CHECK(file.special_ids.back() == 330);
}

TEST_CASE("merges as one string with a space mean the same", "[tokenizer][json]") {
  json older = golden_json();
  for (auto& merge : older["model"]["merges"]) merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  const auto a = read_tokenizer_json(older.dump(), "t"), b = read_tokenizer_json(golden_json().dump(), "t");
  REQUIRE(a.listed->merges.size() == b.listed->merges.size());
  for (std::size_t i = 0; i < a.listed->merges.size(); ++i) {
    CHECK(a.listed->merges[i].left == b.listed->merges[i].left);
    CHECK(a.listed->merges[i].right == b.listed->merges[i].right);
    CHECK(a.listed->merges[i].merged == b.listed->merges[i].merged);
  }
}

TEST_CASE("a post_processor is not read: special tokens are put where they belong by who encodes",
          "[tokenizer][json]") {
  json other = golden_json();
  other["post_processor"] = {{"type", "TemplateProcessing"}};
  CHECK_NOTHROW(read_tokenizer_json(other.dump(), "t"));
}

TEST_CASE("each part of a tokenizer.json that is not run here is refused by field", "[tokenizer][json]") {
  struct Fault {
    std::function<void(json&)> spoil;
    std::string message;
  };
  const auto set = [](const char* path, const json& value) {
    return [=](json& t) { t[json::json_pointer(path)] = value; };
  };
  const std::vector<Fault> faults = {
      {set("/normalizer", {{"type", "NFC"}}), R"(normalizer: expected null, found {"type":"NFC"})"},
      {set("/truncation", {{"max_length", 4}}), R"(truncation: expected null, found {"max_length":4})"},
      {set("/padding", 1), "padding: expected null, found 1"},
      {set("/extra", 1), "'extra': is not known here"},
      {set("/pre_tokenizer", nullptr), "pre_tokenizer: expected object, found null"},
      {set("/pre_tokenizer/type", "ByteLevel"), R"(pre_tokenizer.type: expected "Sequence", found "ByteLevel")"},
      {set("/pre_tokenizer/pretokenizers", json::array()),
       "pre_tokenizer.pretokenizers: expected a Split and a ByteLevel, found []"},
      {set("/pre_tokenizer/pretokenizers/0/type", "Digits"),
       R"(pre_tokenizer.pretokenizers[0].type: expected "Split", found "Digits")"},
      {set("/pre_tokenizer/pretokenizers/0/behavior", "Removed"),
       R"(pre_tokenizer.pretokenizers[0].behavior: expected "Isolated", found "Removed")"},
      {set("/pre_tokenizer/pretokenizers/0/invert", true),
       "pre_tokenizer.pretokenizers[0].invert: expected false, found true"},
      {set("/pre_tokenizer/pretokenizers/0/pattern", {{"String", " "}}),
       "pre_tokenizer.pretokenizers[0].pattern.Regex: is missing"},
      {set("/pre_tokenizer/pretokenizers/1/add_prefix_space", true),
       "pre_tokenizer.pretokenizers[1].add_prefix_space: expected false, found true"},
      {set("/pre_tokenizer/pretokenizers/1/use_regex", true),
       "pre_tokenizer.pretokenizers[1].use_regex: expected false, found true"},
      {set("/decoder/type", "Metaspace"), R"(decoder.type: expected "ByteLevel", found "Metaspace")"},
      {set("/decoder", nullptr), "decoder: expected object, found null"},
      {set("/model/type", "Unigram"), R"(model.type: expected "BPE", found "Unigram")"},
      {set("/model/dropout", 0.1), "model.dropout: expected none, found 0.1"},
      {set("/model/byte_fallback", true), "model.byte_fallback: expected none, found true"},
      {set("/model/end_of_word_suffix", "</w>"), R"(model.end_of_word_suffix: expected none, found "</w>")"},
      {set("/model/ignore_merges", 1), "model.ignore_merges: expected true or false, found 1"},
      {set("/model/vocab/语", 331),
       "model.vocab: expected tokens in the byte alphabet, found '语'; other tokens have to be added_tokens"},
      {set("/model/vocab/zz", 400),
       "model.vocab: expected the ids 0 to 331 for 332 tokens, each once, found 400 for 'zz'"},
      {set("/model/vocab/zz", 20),
       "model.vocab: expected the ids 0 to 331 for 332 tokens, each once, found 20 for 'zz'"},
      {set("/model/vocab/zz", -1), "model.vocab.zz: expected an id below 16777216, found -1"},
      {set("/model/merges/0", "he"), R"(model.merges[0]: expected two tokens, found "he")"},
      {set("/model/merges/0", {"q", "q"}), "model.merges[0]: expected tokens of model.vocab, found 'qq'"},
      {set("/added_tokens/0/special", false), "added_tokens[0].special: expected true, found false"},
      {set("/added_tokens/0/id", 5), "added_tokens[0].id: expected 0, which model.vocab has for '<|bos|>', found 5"},
      {set("/added_tokens/1/content", "<|bos|>"),
       "added_tokens[1].id: expected 0, which model.vocab has for '<|bos|>', found 1"},
      {[](json& t) { t["model"]["vocab"].erase("!"), t["model"]["vocab"]["zz"] = 9; },
       "model.vocab: expected all 256 single bytes, found 255; the first one missing is 21"},
      {[](json& t) { t.erase("model"); }, "model: is missing"},
  };
  for (const auto& [spoil, message] : faults) {
    json spoiled = golden_json();
    spoil(spoiled);
    CAPTURE(message);
    CHECK_THROWS_WITH(read_tokenizer_json(spoiled.dump(), "t"),
                      "t: " + message + "; use a byte-level BPE as nanochat's is");
  }
  CHECK_THROWS_WITH(read_tokenizer_json("{", "t"),
                    "t:1:2: not valid JSON: unexpected the end of the file; copy the file again");
}

TEST_CASE("a tokenizer without nanochat's special tokens says which is missing", "[tokenizer][json]") {
  json other = golden_json();
  other["added_tokens"][6]["content"] = "<|end|>";
  auto& vocab = other["model"]["vocab"];
  vocab.erase("<|python_end|>");
  vocab["<|end|>"] = 6;
  const std::string folder = std::filesystem::temp_directory_path() / "kvproof-tokenizer-json-test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/tokenizer.json") << other.dump();
  CHECK_THROWS_WITH(Tokenizer::load(folder),
                    folder +
                        "/tokenizer.json: added_tokens: expected '<|python_end|>', found '<|bos|>', '<|user_start|>', "
                        "'<|user_end|>', '<|assistant_start|>', '<|assistant_end|>', '<|python_start|>', '<|end|>', "
                        "'<|output_start|>', '<|output_end|>'; use a tokenizer.json that has nanochat's nine special "
                        "tokens");
  std::filesystem::remove_all(folder);
}

// --- what the library does otherwise than tiktoken ------------------------------------------------------------------

TEST_CASE("only listed merges are made, in their order, and whole pieces only where asked for", "[tokenizer][bpe]") {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* token : {"ab", "bc", "abc", "abcd"}) tokens.emplace_back(token);  // 256 and on
  const std::vector<bool> special(tokens.size());
  const auto encode = [&](const std::vector<Merge>& merges, bool whole_pieces, const std::string& text) {
    Bpe::Workspace workspace;
    std::vector<TokenId> ids;
    Bpe(tokens, special, merges, whole_pieces).encode(text, workspace, ids);
    return ids;
  };
  using Ids = std::vector<TokenId>;
  const Merge ab{'a', 'b', 256}, bc{'b', 'c', 257}, ab_c{256, 'c', 258};
  CHECK(encode({ab, bc, ab_c}, false, "abc") == Ids{258});
  CHECK(encode({bc, ab, ab_c}, false, "abc") == Ids{'a', 257});  // bc goes first, and a with bc is not listed
  CHECK(encode({bc, ab, ab_c}, true, "abc") == Ids{258});
  CHECK(encode({bc, ab, ab_c}, true, "abcd") == Ids{259});
  CHECK(encode({bc, ab, ab_c}, true, "abcda") == Ids{'a', 257, 'd', 'a'});
  CHECK(encode({}, false, "abc") == Ids{'a', 'b', 'c'});
}

TEST_CASE("text between matches is kept as pieces of its own, cut by empty matches", "[tokenizer][split]") {
  using Pieces = std::vector<std::string_view>;
  const auto pieces = [](const char* pattern, std::string_view text) {
    return SplitPattern(pattern, "t", SplitPattern::Jit::kIfAvailable, Dialect::oniguruma).split(text);
  };
  CHECK(pieces("a+", "xaayya") == Pieces{"x", "aa", "yy", "a"});
  CHECK(pieces("a+", "xyz") == Pieces{"xyz"});
  CHECK(pieces("(?=b)", "aab") == Pieces{"aa", "b"});
  CHECK(pieces("a+", "") == Pieces{});
}

TEST_CASE("what Oniguruma reads otherwise than PCRE2 is refused", "[tokenizer][split]") {
  const auto fault = [](const char* pattern) {
    try {
      SplitPattern(pattern, "t", SplitPattern::Jit::kIfAvailable, Dialect::oniguruma);
    } catch (const TokenizerError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const std::string differs =
      ", which Hugging Face's tokenizers and PCRE2 read differently; write it without, as nanochat's own patterns are";
  CHECK(fault("^a") == "t: the pattern has ^ at byte 0" + differs);
  CHECK(fault("a$") == "t: the pattern has $ at byte 1" + differs);
  CHECK(fault("a{2}+") == "t: the pattern has }+ at byte 3" + differs);
  CHECK(fault("a{,2}") == "t: the pattern has {, at byte 1" + differs);
  CHECK(fault(R"(\w+)") == R"(t: the pattern has \w at byte 0)" + differs);
  CHECK(fault("(?m)a") == "t: the pattern has (?m at byte 0" + differs);
  CHECK(fault("(?i)a") == "t: the pattern has (?i at byte 0" + differs);
  CHECK(fault("[^$^]|(?i:a)|(?:b)(?=c)(?!d)(?<=e)(?<!f)(?>g)") == "no error");
  CHECK(fault("(a") ==
        "t: the pattern is not a pattern that PCRE2 can compile: missing closing parenthesis, at byte 2 of '(a'; use "
        "nanochat's own pattern");
}

}  // namespace
}  // namespace kvproof
