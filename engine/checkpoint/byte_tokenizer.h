// The smallest real tokenizer of a given size, for checkpoints that never had one.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace kvproof {

/// What a pickled tiktoken.Encoding holds.
struct EncodingData {
  std::string name, pattern;
  std::vector<std::string> ranks;  // the token with rank i
  std::vector<std::pair<std::string, int64_t>> specials;
};

/// A byte-level vocabulary: 256 single bytes, then pairs and triples of bytes (each the merge of two earlier tokens), then
/// nanochat's nine special tokens; nanochat's pattern. vocab_size: 265 to 16 million.
EncodingData byte_encoding(int64_t vocab_size);

/// The smallest vocab_size that byte_encoding can make.
constexpr int64_t kSmallestVocabulary = 256 + 9;

/// The bytes that Python's pickle.dumps gives for a tiktoken.Encoding (protocol 4). Tokens of at most 255 bytes.
std::string pickle_encoding(const EncodingData& encoding);

}  // namespace kvproof
