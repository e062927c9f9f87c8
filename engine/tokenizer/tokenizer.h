// nanochat's tokenizer: byte-level BPE in the pieces of a pattern, read from tokenizer.pkl or tokenizer.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kvproof {

using TokenId = int32_t;

/// Ids of the nine special tokens, by role.
struct SpecialTokens {
  TokenId bos, user_start, user_end, assistant_start, assistant_end, python_start, python_end, output_start, output_end;
};

/// Immutable once loaded: any number of threads may use one.
class Tokenizer {
 public:
  /// Reads a folder's tokenizer.pkl, a pickled tiktoken.Encoding; else its tokenizer.json, of Hugging Face's tokenizers.
  /// throws TokenizerError (file, what was expected, what was found)
  static Tokenizer load(const std::filesystem::path& tokenizer_dir);
  /// The same from the bytes of tokenizer.pkl. place: their name, for messages
  static Tokenizer from_bytes(std::string_view bytes, const std::string& place);
  /// The file that load() reads. It need not exist.
  static std::filesystem::path file_in(const std::filesystem::path& tokenizer_dir);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  int64_t vocab_size() const;  // special tokens too
  const SpecialTokens& special() const;

  /// Text to ids; never produces special tokens (tiktoken's encode_ordinary). Linear time in practice for any input.
  /// Letters, digits and marks newer than PCRE2's Unicode (14 in 10.42) may split differently from tiktoken's.
  /// throws TokenizerError if text is not UTF-8, with the byte offset, or is longer than 2^32 - 1 bytes
  std::vector<TokenId> encode(std::string_view text) const;
  /// The id of "<|bos|>" and the like. throws TokenizerError: unknown name, lists the known
  TokenId encode_special(std::string_view name) const;
  /// The bytes of one token (a special token's name for a special token). throws TokenizerError: id out of range
  const std::string& token_bytes(TokenId id) const;
  bool is_special(TokenId id) const;
  /// All bytes joined, invalid UTF-8 replaced as Python's bytes.decode("utf-8", errors="replace") does.
  std::string decode(const std::vector<TokenId>& ids) const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvproof
