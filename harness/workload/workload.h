// A prompt of the config as token ids.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/tokenizer/tokenizer.h"
#include "harness/config/config.h"

namespace kvproof {

struct Prompt {
  std::string name;
  PromptKind kind = PromptKind::text;
  std::string text;             // empty for tokens and synthetic
  std::vector<TokenId> tokens;  // never empty
  int64_t depth = 0;            // so many of them are in the engine's cache when the clock starts

  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
};

/// "pp16 tg128", with "@ d512" where the prompt has a depth.
/// generated  tokens of the longest row
std::string shape_label(const Prompt& prompt, int64_t generated);

/// Turns a prompt into ids: text and file as bos + text, chat as bos, one user turn, <|assistant_start|>; synthetic as
/// exactly `depth` + `length` tokens, bos the first of them, the others ordinary ones drawn from its seed, neighbours distinct (the
/// same on every machine).
///
/// tokenizer   may be null: then chat, text and file are errors; synthetic draws all from [0, vocab_size), without a bos
/// vocab_size  of the model
/// throws      ConfigError at the prompt's place: no tokenizer, an id outside the vocabulary, an empty prompt or file;
///             TokenizerError: invalid UTF-8, with the place
Prompt resolve_prompt(const PromptSpec& spec, const Tokenizer* tokenizer, int64_t vocab_size);

/// Whether rows end at a terminal token: Stop::automatic decided by the prompt's kind.
bool stops(const SamplerSpec& sampler, PromptKind kind);

}  // namespace kvproof
