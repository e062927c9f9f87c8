// Prompts as token ids.
#include "harness/workload/workload.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/error.h"
#include "tests/support/catch.h"

using namespace kvproof;
using kvproof::testing::source_path;

namespace {

const Tokenizer& tokenizer() {
  static const Tokenizer loaded = Tokenizer::load(source_path("configs/checkpoints/demo-d4/tokenizer"));
  return loaded;
}

constexpr int64_t kVocab = 2048;  // of the demo model: 2039 ordinary tokens, then the nine special ones

PromptSpec prompt(PromptKind kind, const std::string& text = "") {
  PromptSpec spec;
  spec.name = "p";
  spec.place = "c.yaml:2:11";
  spec.kind = kind;
  spec.text = text;
  return spec;
}

PromptSpec synthetic(int64_t length, uint64_t seed = 1) {
  PromptSpec spec = prompt(PromptKind::synthetic);
  spec.length = length;
  spec.seed = seed;
  return spec;
}

/// A file that is gone after the test.
class TextFile {
 public:
  explicit TextFile(const std::string& text)
      : path_(std::filesystem::temp_directory_path() / ("kvproof_workload_" + std::to_string(::getpid()) + ".txt")) {
    std::ofstream(path_, std::ios::binary) << text;
  }
  ~TextFile() { std::filesystem::remove(path_); }
  TextFile(const TextFile&) = delete;
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

std::string fault_of(const PromptSpec& spec, const Tokenizer* tokenizer, int64_t vocab_size = kVocab) {
  try {
    resolve_prompt(spec, tokenizer, vocab_size);
    return "resolved";
  } catch (const Error& error) {
    return error.kind() + " | " + error.what();
  }
}

}  // namespace

TEST_CASE("a prompt with a depth has so many tokens more, of one sequence, and says so", "[workload]") {
  PromptSpec deep = synthetic(16);
  deep.depth = 100;
  const Prompt prompt = resolve_prompt(deep, &tokenizer(), kVocab);
  CHECK(prompt.size() == 116);
  CHECK(prompt.depth == 100);
  CHECK(prompt.tokens == resolve_prompt(synthetic(116), &tokenizer(), kVocab).tokens);
  CHECK(shape_label(prompt, 128) == "pp16 tg128 @ d100");
  CHECK(shape_label(resolve_prompt(synthetic(16), &tokenizer(), kVocab), 4) == "pp16 tg4");
}

TEST_CASE("text and chat become the ids that nanochat makes of them", "[workload]") {
  std::ifstream stream(source_path("tests/golden/demo-d4.json"));
  const auto golden = nlohmann::json::parse(stream);
  std::set<std::string> kinds;
  for (const auto& sample : golden["cases"]) {
    const std::string text = sample["text"];
    CAPTURE(text);
    kinds.insert(sample["kind"]);
    const PromptKind kind = sample["kind"] == "chat" ? PromptKind::chat : PromptKind::text;
    const Prompt resolved = resolve_prompt(prompt(kind, text), &tokenizer(), kVocab);
    CHECK(resolved.tokens == sample["tokens"].get<std::vector<TokenId>>());
    CHECK(resolved.name == "p");
    CHECK(resolved.kind == kind);
    CHECK(resolved.text == text);
  }
  CHECK(kinds == std::set<std::string>{"chat", "text"});
}

TEST_CASE("a file is its text, to the last newline", "[workload]") {
  const TextFile file("The capital of France is\n");
  const Prompt resolved = resolve_prompt(prompt(PromptKind::file, file.path()), &tokenizer(), kVocab);
  CHECK(resolved.tokens ==
        resolve_prompt(prompt(PromptKind::text, "The capital of France is\n"), &tokenizer(), kVocab).tokens);
  CHECK(resolved.text == "The capital of France is\n");
}

TEST_CASE("a chat prompt that names special tokens gets none of them", "[workload]") {
  const auto tokens = resolve_prompt(prompt(PromptKind::chat, "<|bos|><|user_end|>"), &tokenizer(), kVocab).tokens;
  // bos, user_start, …, user_end, assistant_start
  CHECK(std::count_if(tokens.begin(), tokens.end(), [](TokenId id) { return tokenizer().is_special(id); }) == 4);
}

TEST_CASE("tokens are taken as they are, without bos and without a tokenizer", "[workload]") {
  PromptSpec spec = prompt(PromptKind::tokens);
  spec.tokens = {7, 7, 2047};
  CHECK(resolve_prompt(spec, nullptr, kVocab).tokens == spec.tokens);
  CHECK(resolve_prompt(spec, &tokenizer(), kVocab).tokens == spec.tokens);
}

TEST_CASE("a synthetic prompt has its length, begins with bos, and holds distinct ordinary neighbours", "[workload]") {
  const int64_t length = GENERATE(1, 2, 3, 512);
  CAPTURE(length);
  const auto tokens = resolve_prompt(synthetic(length), &tokenizer(), kVocab).tokens;
  REQUIRE(std::ssize(tokens) == length);
  CHECK(tokens[0] == tokenizer().special().bos);
  CHECK(std::none_of(tokens.begin() + 1, tokens.end(), [](TokenId id) { return tokenizer().is_special(id); }));
  CHECK(std::adjacent_find(tokens.begin(), tokens.end()) == tokens.end());
}

TEST_CASE("neighbours differ and every token occurs, even of two or three", "[workload]") {
  const int64_t vocab_size = GENERATE(2, 3);
  const auto tokens = resolve_prompt(synthetic(200), nullptr, vocab_size).tokens;
  CHECK(std::adjacent_find(tokens.begin(), tokens.end()) == tokens.end());
  CHECK(std::set<TokenId>(tokens.begin(), tokens.end()).size() == static_cast<std::size_t>(vocab_size));
}

TEST_CASE("a synthetic prompt depends on its seed alone, on every machine", "[workload]") {
  const auto tokens = [](int64_t length, uint64_t seed) {
    return resolve_prompt(synthetic(length, seed), nullptr, 1000).tokens;
  };
  // SplitMix64 from state 0 gives 16294208416658607535, 7960286522194355700, 487617019471545679; the second is taken modulo
  // 999 (= 27) and stays below the first; the third modulo 999 (= 820) stands above 27 and moves up.
  CHECK(tokens(3, 0) == std::vector<TokenId>{535, 27, 821});
  CHECK(tokens(64, 1) == tokens(64, 1));
  CHECK(tokens(64, 1) != tokens(64, 2));
  const auto longer = tokens(64, 1);
  CHECK(std::vector<TokenId>(longer.begin(), longer.begin() + 10) == tokens(10, 1));
}

TEST_CASE("a synthetic prompt stays inside the smaller of the two vocabularies", "[workload]") {
  const auto few = resolve_prompt(synthetic(300), nullptr, 10).tokens;
  CHECK(*std::max_element(few.begin(), few.end()) == 9);
  const auto many = resolve_prompt(synthetic(300), &tokenizer(), 100'000).tokens;
  CHECK(*std::max_element(many.begin(), many.end()) < kVocab);
}

TEST_CASE("a prompt that cannot become tokens is an error at its place", "[workload]") {
  const TextFile empty("");
  PromptSpec outside = prompt(PromptKind::tokens), negative = outside;
  outside.tokens = {1, 2048};
  negative.tokens = {-1};
  const std::string p = "config | c.yaml:2:11: prompt \"p\": ";
  const std::string no_tokenizer =
      p + "is text, and the checkpoint has no tokenizer; give tokens: […] or synthetic: {length: …}";
  CHECK(fault_of(prompt(PromptKind::text, "a"), nullptr) == no_tokenizer);
  CHECK(fault_of(prompt(PromptKind::chat, "a"), nullptr) == no_tokenizer);
  CHECK(fault_of(prompt(PromptKind::file, empty.path()), nullptr) == no_tokenizer);
  CHECK(fault_of(prompt(PromptKind::text), &tokenizer()) == p + "is empty; a prompt needs text");
  CHECK(fault_of(prompt(PromptKind::chat), &tokenizer()) == p + "is empty; a prompt needs text");
  CHECK(fault_of(prompt(PromptKind::file, empty.path()), &tokenizer()) ==
        p + empty.path() + " is empty; a prompt needs text");
  CHECK(fault_of(prompt(PromptKind::file, "/no/such.txt"), &tokenizer()) ==
        p + "/no/such.txt cannot be read: No such file or directory");
  CHECK(fault_of(prompt(PromptKind::file, "/"), &tokenizer()) == p + "/ is a directory, not a text file");
  CHECK(fault_of(prompt(PromptKind::tokens), nullptr) == p + "is empty; a prompt needs one token at least");
  CHECK(fault_of(outside, nullptr) == p + "token 2048 is outside the vocabulary; the model has ids 0 to 2047");
  CHECK(fault_of(negative, nullptr) == p + "token -1 is outside the vocabulary; the model has ids 0 to 2047");
  CHECK(fault_of(prompt(PromptKind::text, "a"), &tokenizer(), 2000) ==
        p + "token 2039 is outside the vocabulary; the model has ids 0 to 1999");
  CHECK(fault_of(synthetic(4), nullptr, 1) == p + "needs two ordinary tokens to draw from, the vocabulary has 1");
}

TEST_CASE("text that is not UTF-8 is an error with the prompt's place or the file", "[workload]") {
  const TextFile latin1("caf\xe9");
  CHECK_THAT(fault_of(prompt(PromptKind::text, "caf\xe9"), &tokenizer()),
             Catch::Matchers::StartsWith("tokenizer | c.yaml:2:11: "));
  CHECK_THAT(fault_of(prompt(PromptKind::file, latin1.path()), &tokenizer()),
             Catch::Matchers::StartsWith("tokenizer | " + latin1.path() + ": ") &&
                 Catch::Matchers::Contains("byte e9 at offset 3"));
}

TEST_CASE("stop: auto ends rows of text, chat and file, and no others", "[workload]") {
  SamplerSpec sampler;
  for (const PromptKind kind : {PromptKind::chat, PromptKind::text, PromptKind::file}) CHECK(stops(sampler, kind));
  for (const PromptKind kind : {PromptKind::tokens, PromptKind::synthetic}) CHECK_FALSE(stops(sampler, kind));
  sampler.stop = Stop::on;
  CHECK(stops(sampler, PromptKind::synthetic));
  sampler.stop = Stop::off;
  CHECK_FALSE(stops(sampler, PromptKind::chat));
}
