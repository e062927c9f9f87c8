// kvproof chat over a pipe: turns, history, commands.
#include "tests/program/program.h"

using namespace kvproof::testing;
using Json = nlohmann::json;

namespace {

ProgramRun chat(const std::string& input, const std::vector<std::string>& words = {}) {
  return run_kvproof(std::vector<std::string>{"chat", "--temperature", "0"} + demo_flags() + words, typing(input));
}

Json turns(const std::string& input) {
  const auto run = chat(input, {"--format", "json"});
  CAPTURE(input, run.err);
  REQUIRE(run.code == 0);
  return run.json()["turns"];
}

}  // namespace

TEST_CASE("a chat answers as generate does, and calls its tools", "[program]") {
  const auto run = chat("What is 12 times 7?\nquit\nWhat is 7 + 88?\n");
  CHECK(run.code == 0);
  CHECK(run.out == "12*784The answer is 84.\n");
}

TEST_CASE("only what is new since the last turn goes through the model", "[program]") {
  const auto found = turns("What is the capital of Italy?\nWhat is 12 times 7?\n");
  REQUIRE(found.size() == 2);
  for (const auto& turn : found) {
    // All but the last sampled token, the terminal one, are pushed.
    CHECK(turn["token_forwards"] == turn["prefilled"].get<int64_t>() + static_cast<int64_t>(turn["tokens"].size()));
    CHECK(turn["finish"] == "stop");
  }
  const auto first_prompt = run_kvproof(std::vector<std::string>{"generate", "--format", "json", "--max-tokens", "0",
                                                                 "--chat", "What is the capital of Italy?"} +
                                        demo_flags())
                                .json()["prompt_tokens"]
                                .size();
  CHECK(found[0]["prefilled"] == first_prompt);
  // The second turn: what the first one ended with, then a user turn, without <|bos|>.
  const auto second_prompt = run_kvproof(std::vector<std::string>{"generate", "--format", "json", "--max-tokens", "0",
                                                                  "--chat", "What is 12 times 7?"} +
                                         demo_flags())
                                 .json()["prompt_tokens"]
                                 .size();
  CHECK(found[1]["prefilled"] == 1 + second_prompt - 1);
  CHECK(found[1]["history"] == found[0]["history"].get<int64_t>() + static_cast<int64_t>(second_prompt) - 1 +
                                   static_cast<int64_t>(found[1]["tokens"].size()) + 1);
}

TEST_CASE("clear forgets the conversation", "[program]") {
  const auto found = turns("What is 12 times 7?\n/clear\n\nWhat is 12 times 7?\n");
  REQUIRE(found.size() == 2);
  CHECK(found[0]["cleared_before"] == false);
  CHECK(found[1]["cleared_before"] == true);
  CHECK(found[1]["history"] ==
        found[0]["history"]);  // prefilled would be the same by chance: no <|bos|>, but a terminal token
  CHECK(found[1]["tokens"] == found[0]["tokens"]);
}

TEST_CASE("a turn that fails is told, leaves the conversation as it was and shows in the exit code", "[program]") {
  const auto run = chat("What is \xff?\nWhat is 12 times 7?\n", {"--format", "json"});
  CHECK(run.code == 2);
  const auto found = run.json()["turns"];
  REQUIRE(found.size() == 2);
  CHECK(found[0]["error"] == Json{{"kind", "argument"},
                                  {"message", "is not UTF-8: byte 8 is invalid"},
                                  {"place", "user text"},
                                  {"exit_code", 2}});
  CHECK(found[1]["tokens"] == turns("What is 12 times 7?\n")[0]["tokens"]);
}

TEST_CASE("an answer that is cut is closed in the history", "[program]") {
  const auto run =
      chat("What is the capital of Italy?\nWhat is 12 times 7?\n", {"--format", "json", "--max-tokens", "3"});
  const auto found = run.json()["turns"];
  REQUIRE(found.size() == 2);
  CHECK(found[0]["finish"] == "length");
  CHECK(found[0]["tokens"].size() == 3);
  CHECK(found[0]["history"] == found[0]["prefilled"].get<int64_t>() + 3 + 1);
}

TEST_CASE("each turn's work is told", "[program]") {
  const auto run = chat("What is the capital of Italy?\n");
  CHECK_THAT(run.err, Catch::Matchers::Contains(" token-forwards: "));
  CHECK_THAT(run.err, Catch::Matchers::Contains(" prefilled, "));
}

TEST_CASE("Ctrl-C ends an answer, not the chat", "[program]") {
  const TempDir temp;
  // Random weights go on for thousands of tokens.
  const auto made =
      run_kvproof({"synthesize", "d2,vocab_size=300,n_embd=64,n_head=2,sequence_len=2048", "--out", temp / "made"});
  REQUIRE(made.code == 0);
  auto options = typing("Hello\n/clear\nquit\n");
  options.interrupt = true;
  const auto run =
      run_kvproof({"chat", "--base-dir", temp / "made", "--temperature", "0", "--max-tokens", "20000"}, options);
  CAPTURE(run.err);
  CHECK(run.code == 0);
  CHECK_THAT(run.err, Catch::Matchers::Contains("finish abandoned; ttft"));
  CHECK(run.last_error_line() == "the conversation is forgotten");
}

TEST_CASE("white space around a line is not part of it, as in nanochat's chat", "[program]") {
  const auto bare = chat("What is the capital of France?\n", {"--format", "json"}).json();
  const auto spaced =
      chat("  What is the capital of France? \t \r\n \n Quit \nnever said\n", {"--format", "json"}).json();
  CHECK(bare["turns"].size() == 1);
  CHECK(spaced["turns"].size() == 1);
  CHECK(spaced["turns"][0]["tokens"] == bare["turns"][0]["tokens"]);
  CHECK(spaced["turns"][0]["prefilled"] == bare["turns"][0]["prefilled"]);
}
