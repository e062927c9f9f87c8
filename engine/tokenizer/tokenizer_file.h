// What tokenizer.pkl holds.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace kvproof {

struct TokenizerFile {
  std::string place;                 // the file, for messages
  std::string pattern;               // pat_str
  std::vector<std::string> tokens;   // mergeable_ranks: bytes by rank, the 256 single bytes among them
  std::vector<std::string> special;  // special_tokens: names by id - tokens.size(), unique
};

/// Reads the tiktoken.Encoding that nanochat pickles. Ids must be dense: ranks 0, 1, 2, …, then the special tokens.
/// throws TokenizerError: no folder or file, not a pickle, a pickle of something else, a field that is missing or wrong
TokenizerFile read_tokenizer_file(const std::filesystem::path& tokenizer_dir);
/// The same from the file's bytes. place: their name, for messages
TokenizerFile read_tokenizer_bytes(std::string_view bytes, const std::string& place);

}  // namespace kvproof
