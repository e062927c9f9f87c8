// kvproof on a checkpoint in Hugging Face's layout.
#include "tests/program/program.h"

using namespace kvproof::testing;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

const std::string kFolder = source_path("tests/golden/huggingface");

Json json_of(const std::vector<std::string>& words, const std::string& folder = kFolder) {
  const auto run = run_kvproof(words + std::vector<std::string>{"--format", "json", "--base-dir", folder});
  CAPTURE(words, run.err);
  REQUIRE(run.code == 0);
  return run.json();
}

}  // namespace

TEST_CASE("inspect names the files of a Hugging Face folder and where its constants came from", "[program]") {
  const auto document = json_of({"inspect"});
  CHECK(document["checkpoint"]["name"] == "huggingface");
  CHECK(document["checkpoint"]["path"] == kFolder + "/model.safetensors");
  for (const char* key : {"source", "tag", "step", "val_bpb"}) CHECK(document["checkpoint"][key].is_null());
  CHECK(document["tokenizer"] == Json{{"path", kFolder + "/tokenizer.json"}, {"vocab_size", 331}});
  CHECK(document["generation"]["name"] == "huggingface");
  CHECK(document["generation"]["constants"][1] == "softcap 12: config.json, final_logit_softcapping");
  CHECK(document["architecture"]["norm_eps"] == 3e-6);
  CHECK(document["architecture"]["windows"] == Json{nullptr, nullptr, nullptr});
  const auto text = run_kvproof({"inspect", "--base-dir", kFolder});
  CHECK_THAT(text.out,
             Catch::Matchers::Contains("constants                   norm_eps 3e-06: config.json, rms_norm_eps\n"));
  CHECK_THAT(text.err,
             Catch::Matchers::Contains("checkpoint " + kFolder +
                                       "/model.safetensors: in Hugging Face's layout, generation huggingface\n"));
}

TEST_CASE("inspect says an MLP's width where it is not nanochat's, and that there is no softcap", "[program]") {
  const auto own = json_of({"inspect"}, kFolder + "/inner-50"), usual = json_of({"inspect"});
  CHECK(own["config"]["n_inner"] == 50);
  CHECK_FALSE(usual["config"].contains("n_inner"));
  CHECK(own["architecture"]["softcap"].is_null());
  CHECK(own["parameters"]["total"] == 2 * 61 * 24 + 2 * (2 * 24 * 24 + 2 * 12 * 24 + 2 * 50 * 24));
}

TEST_CASE("generate continues as transformers does", "[program]") {
  const auto golden = Json::parse(read_file(kFolder + "/golden.json"));
  for (const auto& run : golden["continuations"]) {
    auto tokens = run["ids"].get<std::vector<int>>();
    const auto continuation = run["tokens"].get<std::vector<int>>();
    for (const char* path : {"engine", "naive"}) {
      const auto document =
          json_of({"generate", "--prompt-tokens", comma_separated(tokens), "--temperature", "0", "--max-tokens",
                   std::to_string(continuation.size()), "--stop", "off", "--no-tools", "--path", path});
      auto expected = tokens;
      expected.insert(expected.end(), continuation.begin(), continuation.end());
      CHECK(document["rows"][0]["tokens"] == expected);
    }
  }
}

TEST_CASE("tokenize reads a folder's tokenizer.json", "[program]") {
  const auto cases = Json::parse(read_file(kFolder + "/tokenizer_cases.json"));
  const auto& one = cases["encode"][4];
  CHECK(json_of({"tokenize", "--text", one["text"].get<std::string>()})["ids"] == one["ids"]);
}

TEST_CASE("a Hugging Face folder has no tag to choose", "[program]") {
  const auto run = run_kvproof({"inspect", "--base-dir", kFolder, "--tag", "d4"});
  CHECK(run.code == 2);
  CHECK_THAT(run.last_error_line(), Catch::Matchers::Contains("--tag: cannot be chosen: "));
}

TEST_CASE("the oracle agrees with a checkpoint in Hugging Face's layout", "[program]") {
  const std::string folder = kFolder + GENERATE("", "/inner-50");
  const auto run = run_kvproof({"verify", "--base-dir", folder, "--threads", "1", "--quick"});
  CAPTURE(run.out, run.err);
  CHECK(run.code == 0);
  CHECK_THAT(run.out, Catch::Matchers::Contains("oracle        equal: "));
}
