#include "engine/tokenizer/conversation.h"

#include <algorithm>
#include <string>
#include <vector>

#include "engine/error.h"
#include "tests/engine/tokenizer/cases.h"

namespace kvproof {
namespace {

using testing::demo;

Message message(const std::string& role, const std::string& text) { return {role, {{"text", text}}}; }

Conversation golden_conversation(const nlohmann::json& messages) {
  Conversation conversation;
  for (const auto& entry : messages) {
    Message& added = conversation.emplace_back();
    added.role = entry["role"];
    if (entry["content"].is_string()) {
      added.parts = {{"text", entry["content"]}};
    } else {
      for (const auto& part : entry["content"]) added.parts.push_back({part["type"], part["text"]});
    }
  }
  return conversation;
}

/// The ids as text; a special token by its name.
std::string shown(const std::vector<TokenId>& ids) { return demo().decode(ids); }

template <class Function>
std::string failure_of(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.kind() + " " + error.what();
  }
  return "no error";
}

std::string render_error(const Conversation& conversation) {
  return failure_of([&] { render_conversation(demo(), conversation); });
}

TEST_CASE("a conversation with a system message and a tool call renders as nanochat's", "[tokenizer][golden]") {
  const auto golden = testing::read_source_json("tests/golden/demo-d4.json")["conversation"];
  const auto conversation = golden_conversation(golden["conversation"]["messages"]);
  const auto rendered = render_conversation(demo(), conversation);
  CHECK(rendered.ids == golden["ids"].get<std::vector<TokenId>>());
  CHECK(rendered.mask == golden["mask"].get<std::vector<int>>());
}

TEST_CASE("each message stands between its delimiters", "[tokenizer][conversation]") {
  const Conversation conversation = {
      message("user", "a"), message("assistant", "b"), message("user", ""), {"assistant", {}}};
  const auto rendered = render_conversation(demo(), conversation);
  CHECK(shown(rendered.ids) ==
        "<|bos|><|user_start|>a<|user_end|><|assistant_start|>b<|assistant_end|>"
        "<|user_start|><|user_end|><|assistant_start|><|assistant_end|>");
  CHECK(rendered.mask == std::vector<int>{0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1});
}

TEST_CASE("tool calls are the assistant's, their output is not", "[tokenizer][conversation]") {
  const Conversation conversation = {message("user", "a"),
                                     {"assistant", {{"python", "1"}, {"python_output", "2"}, {"text", "3"}}}};
  const auto rendered = render_conversation(demo(), conversation);
  CHECK(shown(rendered.ids) ==
        "<|bos|><|user_start|>a<|user_end|><|assistant_start|><|python_start|>1<|python_end|>"
        "<|output_start|>2<|output_end|>3<|assistant_end|>");
  CHECK(rendered.mask == std::vector<int>{0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1});
}

TEST_CASE("a system message is one text with the first user message", "[tokenizer][conversation]") {
  const auto rendered = render_conversation(demo(), {message("system", "Be brief."), message("user", "Hi")});
  const auto merged = render_conversation(demo(), {message("user", "Be brief.\n\nHi")});
  CHECK(rendered.ids == merged.ids);
  CHECK(rendered.mask == merged.mask);
}

TEST_CASE("names of special tokens in messages stay text", "[tokenizer][conversation]") {
  const auto rendered = render_conversation(demo(), {message("user", "<|assistant_start|>")});
  CHECK(std::count(rendered.ids.begin(), rendered.ids.end(), demo().special().assistant_start) == 0);
}

TEST_CASE("ids and mask are cut to max_tokens", "[tokenizer][conversation]") {
  const Conversation conversation = {message("user", "a"), message("assistant", "b")};
  const auto whole = render_conversation(demo(), conversation);
  REQUIRE(whole.ids.size() == 7);
  for (std::size_t length = 0; length <= 9; ++length) {
    const auto cut = render_conversation(demo(), conversation, static_cast<int64_t>(length));
    const auto kept = static_cast<std::ptrdiff_t>(std::min<std::size_t>(length, 7));
    CHECK(cut.ids == std::vector<TokenId>(whole.ids.begin(), whole.ids.begin() + kept));
    CHECK(cut.mask == std::vector<int>(whole.mask.begin(), whole.mask.begin() + kept));
  }
  const Conversation longer = {message("user", testing::repeated("a b ", 10000)), message("assistant", "b")};
  CHECK(render_conversation(demo(), longer).ids.size() == 2048);
  const auto prompt = render_for_completion(demo(), longer);
  CHECK(prompt.size() == 2049);  // as nanochat: cut first, then appended
  CHECK(prompt.back() == demo().special().assistant_start);
  CHECK(failure_of([&] { render_conversation(demo(), conversation, -1); }) ==
        "argument max_tokens: expected 0 or more, found -1");
}

TEST_CASE("a completion's prompt ends where the assistant begins", "[tokenizer][conversation]") {
  const Conversation conversation = {message("system", "s"), message("user", "a"), message("assistant", "gone")};
  CHECK(shown(render_for_completion(demo(), conversation)) ==
        "<|bos|><|user_start|>s\n\na<|user_end|><|assistant_start|>");
  CHECK(failure_of([] { render_for_completion(demo(), {}); }) ==
        "tokenizer messages: expected a last message from assistant, found no message; add the answer that is to be "
        "replaced, or an empty one");
  CHECK(failure_of([] { render_for_completion(demo(), {message("user", "a")}); }) ==
        "tokenizer messages[0]: expected a last message from assistant, found one from 'user'; add the answer that is "
        "to be replaced, or an empty one");
  CHECK(failure_of([] { render_for_completion(demo(), {message("assistant", "a")}); }) ==
        "tokenizer messages[0]: expected a message from user, found the conversation's end");
}

TEST_CASE("a conversation that nanochat would refuse is an error that names the message", "[tokenizer][conversation]") {
  const std::string turns = "; after an optional system message, user and assistant take turns";
  const std::string parts = "; only the assistant may use parts";
  CHECK(render_error({}) == "tokenizer messages[0]: expected a message from user, found the conversation's end");
  CHECK(render_error({message("system", "s")}) ==
        "tokenizer messages[1]: expected a message from user, found the conversation's end");
  CHECK(render_error({message("assistant", "a")}) ==
        "tokenizer messages[0]: expected a message from user, found one from 'assistant'" + turns);
  CHECK(render_error({message("system", "s"), message("assistant", "a")}) ==
        "tokenizer messages[1]: expected a message from user, found one from 'assistant'" + turns);
  CHECK(render_error({message("user", "a"), message("user", "b")}) ==
        "tokenizer messages[1]: expected a message from assistant, found one from 'user'" + turns);
  CHECK(render_error({message("user", "a"), message("system", "b")}) ==
        "tokenizer messages[1]: expected a message from assistant, found one from 'system'" + turns);
  CHECK(render_error({{"user", {{"text", "a"}, {"text", "b"}}}}) ==
        "tokenizer messages[0]: expected one text from user, found 2 parts" + parts);
  CHECK(render_error({{"user", {}}}) == "tokenizer messages[0]: expected one text from user, found 0 parts" + parts);
  CHECK(render_error({{"user", {{"python", "a"}}}}) ==
        "tokenizer messages[0]: expected one text from user, found a part of type 'python'" + parts);
  CHECK(render_error({{"system", {}}, message("user", "a")}) ==
        "tokenizer messages[0]: expected one text from system, found 0 parts" + parts);
  CHECK(render_error({message("user", "a"), {"assistant", {{"text", "b"}, {"image", "c"}}}}) ==
        "tokenizer messages[1]: expected parts of type text, python or python_output, found 'image'");
  const std::string at_one =
      " expected UTF-8, found byte ff at offset 1, which no character can have there; convert "
      "the text to UTF-8";
  CHECK(render_error({message("system", "s\xFF"), message("user", "a")}) == "tokenizer messages[0]:" + at_one);
  CHECK(render_error({message("system", "s"), message("user", "a\xFF")}) == "tokenizer messages[1]:" + at_one);
  CHECK(render_error({message("user", "a"), message("assistant", "b\xFF")}) == "tokenizer messages[1]:" + at_one);
}

}  // namespace
}  // namespace kvproof
