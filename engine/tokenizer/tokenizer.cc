#include "engine/tokenizer/tokenizer.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "engine/checkpoint/text.h"
#include "engine/error.h"
#include "engine/tokenizer/bpe.h"
#include "engine/tokenizer/split_pattern.h"
#include "engine/tokenizer/tokenizer_file.h"
#include "engine/tokenizer/utf8_stream.h"

namespace kvproof {
namespace {

constexpr std::array<std::pair<std::string_view, TokenId SpecialTokens::*>, 9> kSpecialTokens = {{
    {"<|bos|>", &SpecialTokens::bos},
    {"<|user_start|>", &SpecialTokens::user_start},
    {"<|user_end|>", &SpecialTokens::user_end},
    {"<|assistant_start|>", &SpecialTokens::assistant_start},
    {"<|assistant_end|>", &SpecialTokens::assistant_end},
    {"<|python_start|>", &SpecialTokens::python_start},
    {"<|python_end|>", &SpecialTokens::python_end},
    {"<|output_start|>", &SpecialTokens::output_start},
    {"<|output_end|>", &SpecialTokens::output_end},
}};

std::string quoted_list(const std::vector<std::string>& names) {
  constexpr std::size_t kMostNames = 16;
  std::vector<std::string> quoted;
  quoted.reserve(names.size());
  for (const auto& name : names) quoted.push_back(quote(name));
  return quoted.empty() ? "none" : listed(quoted, kMostNames);
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerFile file)
      : pattern(file.pattern, file.place, SplitPattern::Jit::kIfAvailable,
                file.listed ? Dialect::oniguruma : Dialect::tiktoken),
        is_special(flags_of(file)), special_names(file.special), special_ids(file.special_ids),
        bpe(file.listed ? Bpe(std::move(file.tokens), is_special, file.listed->merges, file.listed->whole_pieces)
                        : Bpe(std::move(file.tokens))) {
    for (const auto& [name, member] : kSpecialTokens) {
      const TokenId id = find_special(name);
      if (id < 0) {
        throw TokenizerError(
            file.place, fmt::format("{}: expected {}, found {}; {}", file.listed ? "added_tokens" : "special_tokens",
                                    quote(name), quoted_list(special_names),
                                    file.listed ? "use a tokenizer.json that has nanochat's nine special tokens"
                                                : "use a tokenizer.pkl that nanochat wrote"));
      }
      special.*member = id;
    }
  }

  static std::vector<bool> flags_of(const TokenizerFile& file) {
    std::vector<bool> flags(file.listed ? file.tokens.size() : file.tokens.size() + file.special.size());
    for (const TokenId id : file.special_ids) flags[static_cast<std::size_t>(id)] = true;
    return flags;
  }

  TokenId find_special(std::string_view name) const {
    const auto found = std::find(special_names.begin(), special_names.end(), name);
    return found == special_names.end() ? -1 : special_ids[static_cast<std::size_t>(found - special_names.begin())];
  }

  SplitPattern pattern;
  std::vector<bool> is_special;            // by id
  std::vector<std::string> special_names;  // of the ids beside them
  std::vector<TokenId> special_ids;
  Bpe bpe;  // its tokens are all, or all but special ones at the end
  SpecialTokens special;
};

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::filesystem::path& tokenizer_dir) {
  return Tokenizer(std::make_unique<Impl>(read_tokenizer_file(tokenizer_dir)));
}

Tokenizer Tokenizer::from_bytes(std::string_view bytes, const std::string& place) {
  return Tokenizer(std::make_unique<Impl>(read_tokenizer_bytes(bytes, place)));
}

std::filesystem::path Tokenizer::file_in(const std::filesystem::path& tokenizer_dir) {
  return tokenizer_file_in(tokenizer_dir);
}

int64_t Tokenizer::vocab_size() const {
  return static_cast<int64_t>(impl_->is_special.size());
}

const SpecialTokens& Tokenizer::special() const { return impl_->special; }

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  if (text.size() > UINT32_MAX) {
    throw TokenizerError("text", fmt::format("expected at most {} bytes at once, found {}; encode it in parts",
                                             UINT32_MAX, text.size()));
  }
  if (const auto offset = first_invalid_utf8(text)) {
    throw TokenizerError("text", invalid_utf8_message(text, *offset));
  }
  std::vector<TokenId> ids;
  Bpe::Workspace workspace;
  for (const std::string_view piece : impl_->pattern.split(text)) impl_->bpe.encode(piece, workspace, ids);
  return ids;
}

TokenId Tokenizer::encode_special(std::string_view name) const {
  const TokenId id = impl_->find_special(name);
  if (id < 0) {
    throw TokenizerError(
        "", fmt::format("there is no special token {}; use one of {}", quote(name), quoted_list(impl_->special_names)));
  }
  return id;
}

const std::string& Tokenizer::token_bytes(TokenId id) const {
  if (id < 0 || id >= vocab_size()) {
    throw TokenizerError("", fmt::format("there is no token {}, ids go from 0 to {}; use the model's own tokenizer", id,
                                         vocab_size() - 1));
  }
  const auto& tokens = impl_->bpe.tokens();
  const auto index = static_cast<std::size_t>(id);
  return index < tokens.size() ? tokens[index] : impl_->special_names[index - tokens.size()];
}

bool Tokenizer::is_special(TokenId id) const {
  return id >= 0 && id < vocab_size() && impl_->is_special[static_cast<std::size_t>(id)];
}

std::string Tokenizer::decode(const std::vector<TokenId>& ids) const {
  std::string bytes;
  for (const TokenId id : ids) bytes += token_bytes(id);
  return decode_utf8_replacing(bytes);
}

}  // namespace kvproof
