#include "engine/tokenizer/conversation.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "engine/checkpoint/text.h"
#include "engine/error.h"
#include "engine/tokenizer/utf8_stream.h"

namespace kvproof {
namespace {

class Renderer {
 public:
  explicit Renderer(const Tokenizer& tokenizer) : tokenizer_(tokenizer), special_(tokenizer.special()) {}

  RenderedConversation render(const Conversation& conversation) && {
    add(special_.bos, false);
    const std::size_t first = !conversation.empty() && conversation[0].role == "system" ? 1 : 0;
    if (first == conversation.size()) {
      fail(conversation.size(), "expected a message from user, found the conversation's end");
    }
    for (std::size_t i = first; i < conversation.size(); ++i) {
      const Message& message = conversation[i];
      const bool from_user = (i - first) % 2 == 0;
      const std::string_view expected = from_user ? "user" : "assistant";
      if (message.role != expected) {
        fail(i, fmt::format("expected a message from {}, found one from {}; after an optional system message, user and "
                            "assistant take turns",
                            expected, quote(message.role)));
      }
      if (from_user) {
        const std::string system = i == 1 ? plain_text(conversation, 0) + "\n\n" : "";  // a user at 1 follows a system
        add_user(system + plain_text(conversation, i));
      } else {
        add_assistant(i, message.parts);
      }
    }
    return std::move(result_);
  }

 private:
  [[noreturn]] static void fail(std::size_t index, const std::string& what) {
    throw TokenizerError(fmt::format("messages[{}]", index), what);
  }

  static const std::string& plain_text(const Conversation& conversation, std::size_t index) {
    const auto& [role, parts] = conversation[index];
    if (parts.size() != 1 || parts[0].type != "text") {
      fail(index, fmt::format("expected one text from {}, found {}; only the assistant may use parts", role,
                              parts.size() == 1 ? "a part of type " + quote(parts[0].type)
                                                : fmt::format("{} parts", parts.size())));
    }
    return utf8(index, parts[0].text);
  }

  static const std::string& utf8(std::size_t index, const std::string& text) {
    if (const auto offset = first_invalid_utf8(text)) fail(index, invalid_utf8_message(text, *offset));
    return text;
  }

  void add(TokenId id, bool trained) {
    result_.ids.push_back(id);
    result_.mask.push_back(trained);
  }

  void add_text(const std::string& text, bool trained) {
    for (const TokenId id : tokenizer_.encode(text)) add(id, trained);
  }

  void add_user(const std::string& text) {
    add(special_.user_start, false);
    add_text(text, false);
    add(special_.user_end, false);
  }

  void add_assistant(std::size_t index, const std::vector<MessagePart>& parts) {
    add(special_.assistant_start, false);
    for (const auto& [type, text] : parts) {
      utf8(index, text);
      if (type == "text") {
        add_text(text, true);
      } else if (type == "python") {
        add(special_.python_start, true);
        add_text(text, true);
        add(special_.python_end, true);
      } else if (type == "python_output") {  // the tool says this, not the assistant
        add(special_.output_start, false);
        add_text(text, false);
        add(special_.output_end, false);
      } else {
        fail(index, fmt::format("expected parts of type text, python or python_output, found {}", quote(type)));
      }
    }
    add(special_.assistant_end, true);
  }

  const Tokenizer& tokenizer_;
  const SpecialTokens& special_;
  RenderedConversation result_;
};

}  // namespace

RenderedConversation render_conversation(const Tokenizer& tokenizer, const Conversation& conversation,
                                         int64_t max_tokens) {
  if (max_tokens < 0) throw ArgumentError("max_tokens", fmt::format("expected 0 or more, found {}", max_tokens));
  RenderedConversation rendered = Renderer(tokenizer).render(conversation);
  const std::size_t kept = std::min(rendered.ids.size(), static_cast<std::size_t>(max_tokens));
  rendered.ids.resize(kept);
  rendered.mask.resize(kept);
  return rendered;
}

std::vector<TokenId> render_for_completion(const Tokenizer& tokenizer, const Conversation& conversation) {
  if (conversation.empty() || conversation.back().role != "assistant") {
    const std::string place = conversation.empty() ? "messages" : fmt::format("messages[{}]", conversation.size() - 1);
    const std::string found = conversation.empty() ? "no message" : "one from " + quote(conversation.back().role);
    throw TokenizerError(place, fmt::format("expected a last message from assistant, found {}; add the answer that is "
                                            "to be replaced, or an empty one",
                                            found));
  }
  const Conversation prompt(conversation.begin(), std::prev(conversation.end()));
  std::vector<TokenId> ids = render_conversation(tokenizer, prompt).ids;
  ids.push_back(tokenizer.special().assistant_start);
  return ids;
}

}  // namespace kvproof
