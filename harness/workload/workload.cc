#include "harness/workload/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "engine/splitmix.h"
#include "harness/error.h"

namespace kvproof {
namespace {

[[noreturn]] void fail(const PromptSpec& spec, const std::string& why) {
  throw ConfigError(spec.place, fmt::format("prompt \"{}\": {}", spec.name, why));
}

std::string read_text(const PromptSpec& spec) {
  if (std::filesystem::is_directory(spec.text))
    fail(spec, fmt::format("{} is a directory, not a text file", spec.text));
  std::ifstream stream(spec.text, std::ios::binary);
  const int error = errno;
  if (!stream) fail(spec, fmt::format("{} cannot be read: {}", spec.text, std::generic_category().message(error)));
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

/// Text to ids; what cannot be encoded is told with the file, or the prompt, that it stands in.
std::vector<TokenId> encode(const PromptSpec& spec, const Tokenizer& tokenizer, const std::string& text) {
  if (text.empty()) {
    fail(spec, spec.kind == PromptKind::file ? spec.text + " is empty; a prompt needs text"
                                             : "is empty; a prompt needs text");
  }
  try {
    return tokenizer.encode(text);
  } catch (const TokenizerError& error) {
    throw TokenizerError(spec.kind == PromptKind::file ? spec.text : spec.place, error.message());
  }
}

std::vector<TokenId> text_tokens(const PromptSpec& spec, const Tokenizer& tokenizer, const std::string& text) {
  const SpecialTokens& special = tokenizer.special();
  std::vector<TokenId> tokens = encode(spec, tokenizer, text);
  if (spec.kind == PromptKind::chat) {
    tokens.insert(tokens.begin(), special.user_start);
    tokens.insert(tokens.end(), {special.user_end, special.assistant_start});
  }
  tokens.insert(tokens.begin(), special.bos);
  return tokens;
}

std::vector<TokenId> synthetic_tokens(const PromptSpec& spec, const Tokenizer* tokenizer, int64_t vocab_size) {
  const int64_t ids = tokenizer ? std::min(vocab_size, tokenizer->vocab_size()) : vocab_size;
  std::vector<TokenId> ordinary;
  for (int64_t id = 0; id < ids; ++id) {
    if (!tokenizer || !tokenizer->is_special(static_cast<TokenId>(id))) ordinary.push_back(static_cast<TokenId>(id));
  }
  if (ordinary.size() < 2) {
    fail(spec, fmt::format("needs two ordinary tokens to draw from, the vocabulary has {}", ordinary.size()));
  }
  std::vector<TokenId> tokens;
  if (tokenizer) tokens.push_back(tokenizer->special().bos);
  uint64_t state = spec.seed;
  std::size_t previous = ordinary.size();  // none yet
  while (std::ssize(tokens) < spec.depth + spec.length) {
    // Smear looks at the neighbour: where two tokens are equal, a wrong neighbour would not show.
    const bool first = previous == ordinary.size();
    std::size_t drawn = next_random(state) % (first ? ordinary.size() : ordinary.size() - 1);
    if (!first && drawn >= previous) ++drawn;
    tokens.push_back(ordinary[drawn]);
    previous = drawn;
  }
  return tokens;
}

}  // namespace

std::string shape_label(const Prompt& prompt, int64_t generated) {
  const std::string depth = prompt.depth > 0 ? fmt::format(" @ d{}", prompt.depth) : "";
  return fmt::format("pp{} tg{}{}", prompt.size() - prompt.depth, generated, depth);
}

Prompt resolve_prompt(const PromptSpec& spec, const Tokenizer* tokenizer, int64_t vocab_size) {
  Prompt prompt{spec.name, spec.kind, "", {}, spec.depth};
  switch (spec.kind) {
    case PromptKind::chat:
    case PromptKind::text:
    case PromptKind::file:
      if (!tokenizer) {
        fail(spec, "is text, and the checkpoint has no tokenizer; give tokens: […] or synthetic: {length: …}");
      }
      prompt.text = spec.kind == PromptKind::file ? read_text(spec) : spec.text;
      prompt.tokens = text_tokens(spec, *tokenizer, prompt.text);
      break;
    case PromptKind::tokens:
      prompt.tokens = spec.tokens;
      break;
    case PromptKind::synthetic:
      prompt.tokens = synthetic_tokens(spec, tokenizer, vocab_size);
      break;
  }
  if (prompt.tokens.empty()) fail(spec, "is empty; a prompt needs one token at least");
  for (const TokenId id : prompt.tokens) {
    if (id < 0 || id >= vocab_size) {
      fail(spec, fmt::format("token {} is outside the vocabulary; the model has ids 0 to {}", id, vocab_size - 1));
    }
  }
  return prompt;
}

bool stops(const SamplerSpec& sampler, PromptKind kind) {
  if (sampler.stop != Stop::automatic) return sampler.stop == Stop::on;
  return kind == PromptKind::chat || kind == PromptKind::text || kind == PromptKind::file;
}

}  // namespace kvproof
