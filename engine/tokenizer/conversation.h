// Chat: a conversation of messages as the token ids nanochat trains and generates on.
#pragma once

#include <string>
#include <vector>

#include "engine/tokenizer/tokenizer.h"

namespace kvproof {

struct MessagePart {
  std::string type;  // text | python | python_output
  std::string text;
};

struct Message {
  std::string role;                // system (first only) | user | assistant
  std::vector<MessagePart> parts;  // a plain string is one text part
};

using Conversation = std::vector<Message>;

struct RenderedConversation {
  std::vector<TokenId> ids;
  std::vector<int> mask;  // 1: what the assistant is trained to say; as long as ids
};

/// bos, then each message between its delimiters; a system message is merged into the first user message with a blank
/// line. ids and mask are cut to max_tokens.
/// throws TokenizerError: roles that do not alternate from user, a user message in parts, an unknown part type, text
///        that is not UTF-8, an empty conversation; the place says which message. ArgumentError: max_tokens below 0
RenderedConversation render_conversation(const Tokenizer& tokenizer, const Conversation& conversation,
                                         int64_t max_tokens = 2048);

/// Drops the last message (the assistant's), renders, appends <|assistant_start|>: what the assistant is asked to
/// complete. As in nanochat the 2048 ids of render_conversation do not count the appended one.
/// throws as render_conversation; TokenizerError: the last message is not the assistant's
std::vector<TokenId> render_for_completion(const Tokenizer& tokenizer, const Conversation& conversation);

}  // namespace kvproof
