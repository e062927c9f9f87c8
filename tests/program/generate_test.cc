// kvproof generate against what nanochat's own code produced.
#include <fstream>

#include "tests/program/program.h"

using namespace kvproof::testing;
using Json = nlohmann::json;

namespace {

const Json& demo_golden() {
  static const Json golden = Json::parse(std::ifstream(source_path("tests/golden/demo-d4.json")));
  return golden;
}

Json generate(const std::vector<std::string>& words) {
  const auto run = run_kvproof(std::vector<std::string>{"generate", "--format", "json"} + words);
  CAPTURE(words, run.err);
  REQUIRE(run.code == 0);
  return run.json();
}

std::vector<std::string> flags_of(const Json& golden_case) {
  const std::string flag = golden_case["kind"] == "chat" ? "--chat" : "--prompt";
  return demo_flags() + std::vector<std::string>{flag, golden_case["text"].get<std::string>()};
}

}  // namespace

TEST_CASE("greedy generation with the engine is nanochat's, tools and masks included", "[program]") {
  for (const auto& golden_case : demo_golden()["cases"]) {
    const auto document =
        generate(flags_of(golden_case) + std::vector<std::string>{"--temperature", "0", "--max-tokens", "64"});
    const auto& row = document["rows"].at(0);
    const auto& expected = golden_case["engine_greedy"];
    CAPTURE(golden_case["text"]);
    CHECK(document["prompt_tokens"] == golden_case["tokens"]);
    CHECK(row["tokens"] == expected["tokens"]);
    CHECK(row["mask"] == expected["mask"]);
    CHECK(row["finish"] == (row["tokens"].size() < golden_case["tokens"].size() + 64 ? "stop" : "length"));
    // Golden text is what follows the prompt, special tokens by name.
    const auto text = row["text"].get<std::string>(), continuation = expected["text"].get<std::string>();
    CHECK(text.substr(text.size() - continuation.size()) == continuation);
  }
}

TEST_CASE("greedy generation with the naive path is nanochat's and never stops early", "[program]") {
  for (const auto& golden_case : {demo_golden()["cases"][0], demo_golden()["cases"][4]}) {
    const auto document = generate(flags_of(golden_case) + std::vector<std::string>{"--path", "naive", "--temperature",
                                                                                    "0", "--max-tokens", "64"});
    auto expected = golden_case["tokens"].get<std::vector<int>>();
    for (const int token : golden_case["naive_greedy"]) expected.push_back(token);
    CHECK(document["rows"][0]["tokens"] == expected);
    CHECK(document["rows"][0]["finish"] == "length");
    const auto P = golden_case["tokens"].size();
    CHECK(document["token_forwards"] == 64 * P + 64 * 63 / 2);
  }
}

TEST_CASE("sampled rows in nanochat's mode are nanochat's", "[program]") {
  const auto& golden_case = demo_golden()["cases"][4];  // its rows call the calculator at different times
  for (const auto& expected : golden_case["engine_sampled"]) {
    std::vector<std::string> flags = {"--sampler",     "nanochat",
                                      "--num-samples", expected["num_samples"].dump(),
                                      "--max-tokens",  expected["max_tokens"].dump(),
                                      "--temperature", expected["temperature"].dump(),
                                      "--seed",        expected["seed"].dump()};
    if (!expected["top_k"].is_null()) flags = flags + std::vector<std::string>{"--top-k", expected["top_k"].dump()};
    const auto document = generate(flags_of(golden_case) + flags);
    Json tokens = Json::array(), masks = Json::array();
    for (const auto& row : document["rows"]) {
      tokens.push_back(row["tokens"]);
      masks.push_back(row["mask"]);
    }
    CAPTURE(flags);
    CHECK(tokens == expected["tokens"]);
    CHECK(masks == expected["masks"]);
  }
}

TEST_CASE("the completion is what the model chose, without what its tools answered", "[program]") {
  const auto document =
      generate(demo_flags() + std::vector<std::string>{"--chat", "What is 12 times 7?", "--temperature", "0"});
  CHECK(document["rows"][0]["completion"] == "<|python_start|>12*7<|python_end|>The answer is 84.");
  const auto P = document["prompt_tokens"].size(), tokens = document["rows"][0]["tokens"].size();
  CHECK(document["token_forwards"] == tokens);  // the prompt once, then all but the terminal token, which is dropped
  CHECK(document["timing"]["itl_ns"].size() == tokens - P);
  for (const auto* time : {"load_ns", "ttft_ns", "prefill_ns"}) CHECK(document["timing"][time].get<int64_t>() > 0);
  CHECK(document["timing"]["prefill_ns"] <= document["timing"]["ttft_ns"]);
}

TEST_CASE("tools can be left out, and then nothing is forced", "[program]") {
  const auto document =
      generate(demo_flags() + std::vector<std::string>{"--chat", "What is 12 times 7?", "--temperature", "0",
                                                       "--no-tools", "--max-tokens", "12"});
  const auto mask = document["rows"][0]["mask"].get<std::vector<int>>();
  const auto P = document["prompt_tokens"].size();
  CHECK(std::count(mask.begin(), mask.end(), 1) == static_cast<int64_t>(mask.size() - P));
}

TEST_CASE("with stop off a terminal token is an ordinary one and the row has full length", "[program]") {
  const auto flags =
      demo_flags() +
      std::vector<std::string>{"--prompt", "The capital of France is", "--temperature", "0", "--max-tokens", "20"};
  const auto stopped = generate(flags), going_on = generate(flags + std::vector<std::string>{"--stop", "off"});
  const auto P = stopped["prompt_tokens"].size();
  CHECK(stopped["rows"][0]["finish"] == "stop");
  CHECK(stopped["rows"][0]["tokens"].size() < P + 20);
  CHECK(going_on["rows"][0]["finish"] == "length");
  CHECK(going_on["rows"][0]["tokens"].size() == P + 20);
  CHECK(going_on["rows"][0]["tokens"][stopped["rows"][0]["tokens"].size()] ==
        demo_golden()["special"]["<|assistant_end|>"]);
}

TEST_CASE("text streams without the prompt and without special tokens, notes go to stderr", "[program]") {
  const auto run = run_kvproof(
      std::vector<std::string>{"generate", "--chat", "What is 12 times 7?", "--temperature", "0"} + demo_flags());
  REQUIRE(run.code == 0);
  CHECK(run.out == "12*784The answer is 84.\n");
  CHECK_THAT(run.err, Catch::Matchers::Contains("tag d4, step 160, val_bpb unknown, generation"));
  CHECK_THAT(run.err, Catch::Matchers::Contains("source sft: the only one present"));
  CHECK_THAT(run.err, Catch::Matchers::Contains("finish stop; ttft"));
  CHECK(run.err.find('\033') == std::string::npos);  // no colour where there is no terminal
}

TEST_CASE("several rows are labelled and whole, in the order in which they end", "[program]") {
  const auto flags =
      demo_flags() +
      std::vector<std::string>{"--prompt", "In the beginning God created", "--num-samples", "3", "--max-tokens", "12"};
  const auto run = run_kvproof(std::vector<std::string>{"generate"} + flags);
  REQUIRE(run.code == 0);
  CHECK(std::count(run.out.begin(), run.out.end(), '\n') >= 3);
  for (const auto* label : {"[row 0] ", "[row 1] ", "[row 2] "}) CHECK_THAT(run.out, Catch::Matchers::Contains(label));
}

TEST_CASE("a row's tokens do not depend on how many there are", "[program]") {
  const auto flags =
      demo_flags() + std::vector<std::string>{"--prompt", "In the beginning God created", "--max-tokens", "16"};
  const auto one = generate(flags), three = generate(flags + std::vector<std::string>{"--num-samples", "3"});
  CHECK(three["rows"].size() == 3);
  CHECK(three["rows"][0]["tokens"] == one["rows"][0]["tokens"]);
  CHECK(three["rows"][1]["tokens"] != one["rows"][0]["tokens"]);
}

TEST_CASE("naive and engine draw the same tokens when sampling", "[program]") {
  const auto flags = demo_flags() + std::vector<std::string>{"--prompt",      "And the LORD said unto",
                                                             "--max-tokens",  "24",
                                                             "--temperature", "0.9",
                                                             "--top-k",       "40",
                                                             "--stop",        "off",
                                                             "--no-tools"};
  const auto engine = generate(flags), naive = generate(flags + std::vector<std::string>{"--path", "naive"});
  CHECK(engine["rows"][0]["tokens"] == naive["rows"][0]["tokens"]);
}

TEST_CASE("without a tokenizer there are ids only", "[program]") {
  const std::vector<std::string> flags = {"--synthetic",     "d2,vocab_size=64,n_embd=32,n_head=2,sequence_len=32",
                                          "--prompt-tokens", "1, 2,3",
                                          "--max-tokens",    "5"};
  const auto document = generate(flags);
  CHECK(document["rows"][0]["text"].is_null());
  CHECK(document["rows"][0]["completion"].is_null());
  CHECK(document["rows"][0]["tokens"].size() == 8);

  const auto run = run_kvproof(std::vector<std::string>{"generate"} + flags);
  CHECK_THAT(run.err, Catch::Matchers::Contains("no tokenizer: token ids only, stop and tools are off\n"));
  std::string expected;
  for (std::size_t i = 3; i < 8; ++i) {
    if (i > 3) expected += ' ';
    expected += document["rows"][0]["tokens"][i].dump();
  }
  CHECK(run.out == expected + "\n");
}

TEST_CASE("no token asked for is no token", "[program]") {
  const auto document = generate(demo_flags() + std::vector<std::string>{"--prompt", "a", "--max-tokens", "0"});
  CHECK(document["rows"][0]["tokens"] == document["prompt_tokens"]);
  CHECK(document["token_forwards"] == 0);
  CHECK(document["timing"]["ttft_ns"].is_null());
}

TEST_CASE("what was left open is said", "[program]") {
  const auto run = run_kvproof(
      std::vector<std::string>{"generate", "--chat", "Hi", "--path", "naive", "--max-tokens", "600", "--stop", "on"} +
      demo_flags());
  CHECK(run.code == 0);
  CHECK_THAT(run.err,
             Catch::Matchers::Contains("the naive path has no tools: a calculator call stays without its result\n"));
  CHECK_THAT(run.err, Catch::Matchers::Contains("go past sequence_len 512, which the model was trained for\n"));
}

TEST_CASE("NANOCHAT_BASE_DIR names the base directory where no flag does", "[program]") {
  RunOptions options;
  options.environment["NANOCHAT_BASE_DIR"] = source_path("configs/checkpoints/demo-d4");
  CHECK(run_kvproof({"generate", "--prompt", "a", "--max-tokens", "1"}, options).code == 0);
}

TEST_CASE("a flag's value is taken as it is", "[program]") {
  for (const std::string text : {"--max-tokens", "[a, b]", "-1", "run", "=", "a=b"}) {
    const auto document = generate(demo_flags() + std::vector<std::string>{"--prompt", text, "--max-tokens", "0"});
    const auto ids =
        run_kvproof(std::vector<std::string>{"tokenize", "--format", "json", "--bos", "--text", text} + demo_flags())
            .json();
    CHECK(document["prompt_tokens"] == ids["ids"]);
  }
}

TEST_CASE("Ctrl-C ends a generation, shows what there is and is seen in the exit code", "[program]") {
  RunOptions options;
  options.interrupt = true;
  const auto run = run_kvproof(
      std::vector<std::string>{"generate", "--path", "naive", "--max-tokens", "5000", "--prompt", "In the beginning"} +
          demo_flags(),
      options);
  CAPTURE(run.err);
  CHECK(run.code == 130);
  CHECK_THAT(run.last_error_line(), Catch::Matchers::Contains("finish abandoned; ttft"));
  CHECK(run.out.back() == '\n');
}
