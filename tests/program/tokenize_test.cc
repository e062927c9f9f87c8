// kvproof tokenize and detokenize against nanochat's own tokenizer.
#include <fstream>

#include "tests/program/program.h"

using namespace kvproof::testing;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

const std::string kHead = source_path("harness/verify/vectors/generations/head");

Json tokenize(const std::vector<std::string>& words) {
  const auto run = run_kvproof(std::vector<std::string>{"tokenize", "--format", "json"} + words);
  CAPTURE(words, run.err);
  REQUIRE(run.code == 0);
  return run.json();
}

}  // namespace

TEST_CASE("text becomes nanochat's ids, from a flag and from a file, and back", "[program]") {
  const TempDir temp;
  const auto golden = Json::parse(std::ifstream(kHead + "/golden.json"));
  for (const auto& golden_case : golden["tokenizer_cases"]) {
    const auto text = golden_case["text"].get<std::string>();
    CAPTURE(text);
    if (text.find('\0') == std::string::npos) {  // an argument ends there
      CHECK(tokenize({"--base-dir", kHead, "--text", text})["ids"] == golden_case["ids"]);
    }
    write_file_of(temp / "text", text);
    CHECK(tokenize({"--base-dir", kHead, "--text-file", temp / "text"})["ids"] == golden_case["ids"]);
    if (golden_case["ids"].empty()) continue;
    const auto back = run_kvproof({"detokenize", "--format", "json", "--base-dir", kHead, "--tokens",
                                   comma_separated(golden_case["ids"].get<std::vector<int>>())});
    CHECK(back.json()["text"] == text);
  }
}

TEST_CASE("a tokenizer needs no checkpoint beside it", "[program]") {
  const TempDir temp;
  fs::copy(kHead + "/tokenizer", temp / "tokenizer");
  const auto run = run_kvproof(
      {"tokenize", "--base-dir", temp.path().string(), "--text", "In the beginning God created the heaven", "--bos"});
  CHECK(run.code == 0);
  CHECK(run.out.rfind("322,73,110,260,", 0) == 0);
  CHECK(run.err.empty());
}

TEST_CASE("bytes that are no UTF-8 come back as U+FFFD", "[program]") {
  const auto byte_ids = tokenize({"--base-dir", kHead, "--text", "\xc3\xa9"})["ids"].get<std::vector<int>>();
  REQUIRE(byte_ids.size() == 2);  // the two bytes of é
  const auto run = run_kvproof({"detokenize", "--base-dir", kHead, "--tokens", std::to_string(byte_ids[0])});
  CHECK(run.out == "\xef\xbf\xbd\n");
}
