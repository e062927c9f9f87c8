// What tokenizer.pkl or tokenizer.json holds.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/bpe.h"

namespace kvproof {

/// What tokenizer.json says about merging, and tokenizer.pkl does not.
struct ListedMerges {
  std::vector<Merge> merges;  // by rank
  bool whole_pieces = false;  // ignore_merges
};

struct TokenizerFile {
  std::string place;    // the file, for messages
  std::string pattern;  // pat_str
  /// mergeable_ranks: bytes by rank, the 256 single bytes among them. Of a tokenizer.json: all tokens by id, also special
  std::vector<std::string> tokens;
  std::vector<std::string> special;    // special_tokens: names, unique
  std::vector<TokenId> special_ids;    // of the same; of a pickle tokens.size() and on
  std::optional<ListedMerges> listed;  // of a tokenizer.json
};

/// The file a folder's tokenizer is in: tokenizer.pkl, else tokenizer.json where there is only that. It need not exist.
std::filesystem::path tokenizer_file_in(const std::filesystem::path& tokenizer_dir);

/// Reads the tiktoken.Encoding that nanochat pickles, ids dense: ranks 0, 1, 2, …, then the special tokens; or a folder's
/// tokenizer.json (see tokenizer_json.h).
/// throws TokenizerError: no folder or file, not a pickle, a pickle of something else, a field that is missing or wrong
TokenizerFile read_tokenizer_file(const std::filesystem::path& tokenizer_dir);
/// The same from the file's bytes. place: their name, for messages
TokenizerFile read_tokenizer_bytes(std::string_view bytes, const std::string& place);

}  // namespace kvproof
