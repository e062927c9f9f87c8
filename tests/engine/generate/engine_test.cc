// What a generation must do beyond the right logits: rows, stops, forced tokens, tools, limits, counts.
#include <algorithm>
#include <set>

#include "engine/error.h"
#include "engine/generate/chat_session.h"
#include "engine/generate/generator.h"
#include "engine/model/cost_model.h"
#include "engine/model/model.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

using Ids = std::vector<int32_t>;
const ModelOptions kFloat64 = {.dtype = "float64", .device = "cpu"};

// The trained model, shared by all tests: loading it is cheap, but not free.
struct Demo {
  Checkpoint checkpoint = demo_checkpoint();
  Tokenizer tokenizer = Tokenizer::load(checkpoint.location.tokenizer_dir);
  std::unique_ptr<Model> model = make_model(checkpoint, kFloat64);
  std::unique_ptr<Generator> naive = make_naive_generator(*model, &tokenizer.special());
  std::unique_ptr<Generator> engine = make_cached_engine(*model, &tokenizer);
};
const Demo& demo() {
  static const Demo kDemo;
  return kDemo;
}

GenerationRequest text_request(const std::string& text, int64_t max_tokens) {
  GenerationRequest request;
  request.prompt = {demo().tokenizer.special().bos};
  for (const TokenId id : demo().tokenizer.encode(text)) request.prompt.push_back(id);
  request.max_tokens = max_tokens;
  request.sampler.temperature = 0;
  return request;
}

GenerationRequest chat_request(const std::string& text, int64_t max_tokens) {
  GenerationRequest request = text_request("", max_tokens);
  const SpecialTokens& special = demo().tokenizer.special();
  request.prompt.push_back(special.user_start);
  for (const TokenId id : demo().tokenizer.encode(text)) request.prompt.push_back(id);
  request.prompt.push_back(special.user_end);
  request.prompt.push_back(special.assistant_start);
  return request;
}

struct Recorder : GenerationObserver {
  std::vector<GenerationStep> steps;
  std::vector<int64_t> forwards;
  int64_t abandon_after = -1;
  void on_forward(int64_t positions) override { forwards.push_back(positions); }
  bool on_step(const GenerationStep& step) override {
    steps.push_back(step);
    return static_cast<int64_t>(steps.size()) != abandon_after;
  }
};

Ids generated(const GenerationResult& result, const GenerationRequest& request, std::size_t row = 0) {
  const Ids& tokens = result.rows[row].tokens;
  return {tokens.begin() + static_cast<std::ptrdiff_t>(request.prompt.size()), tokens.end()};
}

}  // namespace

TEST_CASE("sampled naive and engine give the same tokens, row by row") {
  GenerationRequest request = text_request("In the beginning", 24);
  request.num_samples = 3;
  request.tools = false;
  request.sampler = {.temperature = 1.0, .top_k = GENERATE(std::optional<int64_t>{}, std::optional<int64_t>{20}), .seed = 5};
  const GenerationResult naive = demo().naive->generate(request), engine = demo().engine->generate(request);
  for (std::size_t r = 0; r < 3; ++r) CHECK(naive.rows[r].tokens == engine.rows[r].tokens);
  CHECK(naive.rows[0].tokens != naive.rows[1].tokens);
}

TEST_CASE("row r does not depend on how many rows there are") {
  // nanochat's rows share one generator, so row 0 changes with num_samples.
  GenerationRequest request = text_request("And the LORD said", 16);
  request.sampler = {.temperature = 1.0, .seed = 9};
  request.num_samples = 4;
  const GenerationResult four = demo().engine->generate(request);
  for (int64_t n = 1; n < 4; ++n) {
    request.num_samples = n;
    const GenerationResult fewer = demo().engine->generate(request);
    for (int64_t r = 0; r < n; ++r) CHECK(fewer.rows[r].tokens == four.rows[r].tokens);
  }
}

TEST_CASE("each row of a batch draws its own first token") {
  // History: the first token was sampled once and copied to all rows.
  GenerationRequest request = text_request("The", 1);
  request.num_samples = 16;
  request.sampler = {.temperature = 2.0, .seed = 1, .mode = GENERATE(SamplerMode::per_row, SamplerMode::nanochat)};
  const GenerationResult result = demo().engine->generate(request);
  std::set<int32_t> first;
  for (const auto& row : result.rows) first.insert(row.tokens.back());
  CHECK(first.size() > 4);
}

TEST_CASE("a kept prefix changes the counts and nothing else, call after call") {
  const int64_t rows = GENERATE(1, 3);
  const auto engine = make_cached_engine(*demo().model, &demo().tokenizer);
  GenerationRequest request = text_request("In the beginning God created the heaven and the earth", 12);
  request.num_samples = rows;
  request.sampler = {.temperature = 1.0, .seed = 4};
  request.stop = request.tools = false;
  const auto P = static_cast<int64_t>(request.prompt.size());
  const GenerationResult whole = demo().engine->generate(request);
  for (const int64_t kept : {P - 1, P - 1, int64_t{5}, int64_t{1}, int64_t{5}}) {
    request.kept_prefix = kept;
    Recorder recorder;
    const GenerationResult result = engine->generate(request, &recorder);
    CAPTURE(kept);
    for (int64_t r = 0; r < rows; ++r) CHECK(result.rows[r].tokens == whole.rows[r].tokens);
    CHECK(result.token_forwards == P - kept + rows * 11);
    CHECK(recorder.forwards.front() == P - kept);
    CHECK(result.kv_cache_bytes == whole.kv_cache_bytes);
  }
}

TEST_CASE("another prompt, or other lengths, are not answered out of a kept prefix") {
  const auto engine = make_cached_engine(*demo().model, &demo().tokenizer);
  for (const char* text : {"In the beginning", "And the LORD said", "In the beginning"}) {
    for (const int64_t max_tokens : {4, 20, 7}) {
      GenerationRequest request = text_request(text, max_tokens);
      request.stop = request.tools = false;
      const GenerationResult whole = demo().engine->generate(request);
      request.kept_prefix = 2;
      CHECK(engine->generate(request).rows[0].tokens == whole.rows[0].tokens);
    }
  }
}

TEST_CASE("a prefix that leaves nothing to compute is refused") {
  GenerationRequest request = text_request("In the beginning", 4);
  request.kept_prefix = static_cast<int64_t>(request.prompt.size());
  CHECK_THROWS_WITH(demo().engine->generate(request),
                    "kept_prefix: must be in [0, " + std::to_string(request.prompt.size()) +
                        "), below the prompt's tokens, got " + std::to_string(request.prompt.size()));
}

TEST_CASE("no forward is wasted, and positions are counted") {
  // nanochat runs one more forward after the last token.
  const int64_t max_tokens = GENERATE(0, 1, 2, 9);
  const int64_t rows = GENERATE(1, 3);
  GenerationRequest request = text_request("In the beginning God created", max_tokens);
  request.stop = request.tools = false;
  request.num_samples = rows;
  const auto P = static_cast<int64_t>(request.prompt.size());
  Recorder recorder;
  const GenerationResult engine = demo().engine->generate(request, &recorder);
  CHECK(engine.token_forwards == engine_token_forwards(P, max_tokens, rows));
  CHECK(static_cast<int64_t>(recorder.forwards.size()) == max_tokens);
  CHECK(static_cast<int64_t>(recorder.steps.size()) == max_tokens);
  CHECK(engine.steps == max_tokens);
  CHECK(static_cast<int64_t>(generated(engine, request).size()) == max_tokens);
  if (max_tokens > 0)
    CHECK(engine.kv_cache_bytes == rows * (P + max_tokens - 1) * kv_bytes_per_token(demo().model->config(), 8));
  const GenerationResult naive = demo().naive->generate(request);
  CHECK(naive.token_forwards == rows * naive_token_forwards(P, max_tokens));
  CHECK(naive.kv_cache_bytes == 0);
}

TEST_CASE("rows stop on their own, finished rows cost nothing and disturb nobody") {
  // nanochat keeps computing completed rows, and streams garbage for them.
  GenerationRequest request = chat_request("What is the capital of Italy?", 48);
  request.num_samples = 6;
  request.sampler = {.temperature = 2.0, .seed = 3};
  Recorder recorder;
  const GenerationResult result = demo().engine->generate(request, &recorder);
  std::set<int64_t> lengths;
  int64_t expected_forwards = static_cast<int64_t>(request.prompt.size());
  for (int64_t r = 0; r < 6; ++r) {
    int64_t steps = 0;
    for (const auto& step : recorder.steps) steps += std::count(step.rows.begin(), step.rows.end(), r);
    lengths.insert(steps);
    expected_forwards += steps - 1;
    const bool stopped = result.rows[r].finish == Finish::stop;
    CHECK(static_cast<int64_t>(generated(result, request, r).size()) == steps - (stopped ? 1 : 0));
    CHECK(result.rows[r].tokens.size() == result.rows[r].mask.size());
  }
  CHECK(lengths.size() > 1);
  CHECK(result.token_forwards == expected_forwards);
  GenerationRequest alone = request;  // a row's tokens are those it has without company
  alone.num_samples = 1;
  CHECK(demo().engine->generate(alone).rows[0].tokens == result.rows[0].tokens);
}

TEST_CASE("with stop off a terminal token is an ordinary one") {
  GenerationRequest request = chat_request("What is the capital of Italy?", 40);
  const GenerationResult stopped = demo().engine->generate(request);
  CHECK(stopped.rows[0].finish == Finish::stop);
  const auto length = generated(stopped, request).size();
  request.stop = false;
  const GenerationResult on = demo().engine->generate(request);
  CHECK(on.rows[0].finish == Finish::length);
  CHECK(generated(on, request).size() == 40);
  CHECK(generated(on, request)[length] == demo().tokenizer.special().assistant_end);
}

TEST_CASE("run(k) is a prefix of run(k + m)") {
  GenerationRequest request = text_request("And it came to pass", 20);
  request.stop = false;
  const Ids longer = generated(demo().engine->generate(request), request);
  request.max_tokens = 7;
  CHECK(generated(demo().engine->generate(request), request) == Ids(longer.begin(), longer.begin() + 7));
}

TEST_CASE("the calculator's answer is forced, cached, and masked out") {
  GenerationRequest request = chat_request("What is 12 times 7?", 64);
  const GenerationResult result = demo().engine->generate(request);
  CHECK(demo().tokenizer.decode(generated(result, request)) ==
        "<|python_start|>12*7<|python_end|><|output_start|>84<|output_end|>The answer is 84.");

  // Naive has no tools; given the same forced tokens it says the same.
  ForcedTokens forced;
  const auto& row = result.rows[0];
  for (std::size_t i = request.prompt.size(); i < row.tokens.size(); ++i)
    if (row.mask[i] == 0) forced[static_cast<int64_t>(i - request.prompt.size())] = row.tokens[i];
  CHECK(forced.size() == 3);
  const GenerationResult alone = demo().naive->generate(request);
  CHECK(alone.rows[0].tokens != row.tokens);
  request.forced = {forced};
  const GenerationResult replayed = demo().naive->generate(request);
  CHECK(replayed.rows[0].tokens == row.tokens);
  CHECK(replayed.rows[0].mask == row.mask);
  CHECK(demo().engine->generate(request).rows[0].tokens == row.tokens);
}

TEST_CASE("a generation without max_tokens goes on until rows stop, or the rotary tables end") {
  // nanochat sizes the cache to sequence_len and overruns it.
  GenerationRequest request = chat_request("What is the capital of Italy?", 0);
  request.max_tokens.reset();
  CHECK(demo().engine->generate(request).rows[0].finish == Finish::stop);

  const Checkpoint checkpoint = small_checkpoint("sequence_len=32");  // 320 positions: more than the cache begins with
  const auto model = make_model(checkpoint, kFloat64);
  GenerationRequest endless;
  endless.prompt = {1, 2, 3};
  endless.stop = endless.tools = false;
  endless.sampler.temperature = 0;
  const GenerationResult result = make_cached_engine(*model, nullptr)->generate(endless);
  CHECK(result.rows[0].finish == Finish::limit);
  CHECK(result.rows[0].tokens.size() == 321);  // the last token is never pushed through the model
  endless.max_tokens = 318;
  const GenerationResult naive = make_naive_generator(*model, nullptr, LogitsAt::last)->generate(endless);
  CHECK(naive.rows[0].tokens == result.rows[0].tokens);
  endless.max_tokens = 319;
  CHECK_THROWS_WITH(make_cached_engine(*model, nullptr)->generate(endless),
                    "rotary tables: a prompt of 3 and max_tokens 319 need 321 positions, the tables cover 320 "
                    "(10 x sequence_len 32); max_tokens can be at most 318");
}

TEST_CASE("an abandoned generation keeps what it said") {
  GenerationRequest request = text_request("In the beginning", 20);
  request.stop = false;
  const Ids whole = generated(demo().engine->generate(request), request);
  Recorder recorder;
  recorder.abandon_after = 4;
  const GenerationResult cut = demo().engine->generate(request, &recorder);
  CHECK(cut.rows[0].finish == Finish::abandoned);
  CHECK(generated(cut, request) == Ids(whole.begin(), whole.begin() + 4));
}

TEST_CASE("bad requests are refused before any work") {
  const auto message = [](auto change, bool naive = false) {
    GenerationRequest request = text_request("The", 4);
    change(request);
    try {
      (naive ? demo().naive : demo().engine)->generate(request);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  CHECK(message([](auto& r) { r.prompt.clear(); }) ==
        "prompt: is empty; give at least one token (a text prompt begins with <|bos|>)");
  CHECK(message([](auto& r) { r.prompt.push_back(2048); }) == "prompt: id 2048 at position 2: must be in [0, 2048)");
  CHECK(message([](auto& r) { r.num_samples = 0; }) == "num_samples: must be at least 1, got 0");
  CHECK(message([](auto& r) { r.max_tokens = -1; }) == "max_tokens: must be at least 0, got -1");
  CHECK(message([](auto& r) { r.forced = {{}, {}}; }) == "forced: expected 1 rows of forced tokens, got 2");
  CHECK(message([](auto& r) { r.forced = {{{0, -5}}}; }) == "forced: id -5 at step 0: must be in [0, 2048)");
  CHECK(message([](auto& r) { r.max_tokens = 6000; }, true).find("max_tokens can be at most 5119") != std::string::npos);

  const auto without_tokenizer = make_cached_engine(*demo().model, nullptr);
  GenerationRequest request = text_request("The", 4);
  CHECK_THROWS_WITH(without_tokenizer->generate(request), "tools: need a tokenizer, and there is none; turn tools off");
  request.tools = false;
  CHECK_THROWS_WITH(without_tokenizer->generate(request),
                    "stop: needs the tokenizer's terminal tokens, and there is no tokenizer; turn stop off");
}

TEST_CASE("top_k 0 means no limit") {
  // History: top_k = 0 crashed.
  GenerationRequest request = text_request("The", 8);
  request.sampler = {.temperature = 1.0, .seed = 3};
  const auto unlimited = demo().engine->generate(request).rows[0].tokens;
  request.sampler.top_k = 0;
  CHECK(demo().engine->generate(request).rows[0].tokens == unlimited);
}

TEST_CASE("a chat pushes only what is new, and answers as one long prompt would") {
  ChatSession chat(*demo().model, demo().tokenizer);
  TurnSettings settings;
  settings.sampler.temperature = 0;
  const std::vector<std::string> questions = {"What is 12 times 7?", "What is the capital of Italy?", "What is 7 + 88?"};
  const SpecialTokens& special = demo().tokenizer.special();
  Ids history;
  int64_t before = 0;
  for (const std::string& question : questions) {
    const GenerationRequest fresh = chat_request(question, 256);
    const Ids asked(fresh.prompt.begin() + (history.empty() ? 0 : 1), fresh.prompt.end());  // bos once
    history.insert(history.end(), asked.begin(), asked.end());
    GenerationRequest cold = fresh;
    cold.prompt = history;
    const GenerationResult expected = demo().engine->generate(cold);
    const ChatTurn turn = chat.turn(question, settings);
    CAPTURE(question);
    CHECK(turn.tokens == generated(expected, cold));
    CHECK(turn.finish == Finish::stop);
    CHECK(turn.prefilled == static_cast<int64_t>(asked.size()) + (before > 0 ? 1 : 0));  // and the last <|assistant_end|>
    CHECK(turn.token_forwards == turn.prefilled + static_cast<int64_t>(turn.tokens.size()));
    history.insert(history.end(), turn.tokens.begin(), turn.tokens.end());
    history.push_back(special.assistant_end);
    before = turn.history;
    CHECK(turn.history == static_cast<int64_t>(history.size()));
  }
  chat.clear();
  CHECK(chat.turn(questions[0], settings).prefilled == static_cast<int64_t>(chat_request(questions[0], 1).prompt.size()));
}

TEST_CASE("an answer that is cut is closed in the history") {
  ChatSession chat(*demo().model, demo().tokenizer);
  TurnSettings settings;
  settings.sampler.temperature = 0;
  settings.max_tokens = 3;
  const ChatTurn cut = chat.turn("What is the capital of Italy?", settings);
  CHECK(cut.finish == Finish::length);
  CHECK(cut.tokens.size() == 3);
  Recorder recorder;
  recorder.abandon_after = 2;
  settings.max_tokens = 64;
  const ChatTurn abandoned = chat.turn("What is 7 + 88?", settings, &recorder);
  CHECK(abandoned.finish == Finish::abandoned);
  CHECK(abandoned.tokens.size() == 2);
  const ChatTurn whole = chat.turn("What is 12 times 7?", settings);

  GenerationRequest cold = chat_request("What is the capital of Italy?", 64);
  const auto append = [&](const ChatTurn& turn, const std::string& next) {
    cold.prompt.insert(cold.prompt.end(), turn.tokens.begin(), turn.tokens.end());
    cold.prompt.push_back(demo().tokenizer.special().assistant_end);
    const Ids asked = chat_request(next, 1).prompt;
    cold.prompt.insert(cold.prompt.end(), asked.begin() + 1, asked.end());
  };
  append(cut, "What is 7 + 88?");
  append(abandoned, "What is 12 times 7?");
  CHECK(whole.tokens == generated(demo().engine->generate(cold), cold));
}

TEST_CASE("a turn that fails leaves the conversation as it was") {
  ChatSession chat(*demo().model, demo().tokenizer);
  TurnSettings settings;
  settings.sampler.temperature = 0;
  chat.turn("What is 12 times 7?", settings);
  CHECK_THROWS_WITH(chat.turn(std::string(20000, '?'), settings),
                    "chat: the conversation no longer fits into the rotary tables; clear it to go on");
  CHECK_THROWS_AS(chat.turn("\xff", settings), TokenizerError);
  ChatSession other(*demo().model, demo().tokenizer);
  other.turn("What is 12 times 7?", settings);
  CHECK(chat.turn("What is 7 + 88?", settings).tokens == other.turn("What is 7 + 88?", settings).tokens);
}
