// Byte-pair merges inside one piece of text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/tokenizer/tokenizer.h"

namespace kvproof {

class Bpe {
 public:
  /// Memory that encode() uses again from piece to piece; holds no state between calls. One per thread.
  struct Workspace {
    struct Part {
      uint32_t prev, end;  // where the part before this one begins, where this one ends
      TokenId id;          // the token these bytes are so far
      TokenId merged;      // the token this part and the next make together, or none
    };
    std::vector<Part> parts;     // by the byte at which a part begins
    std::vector<uint64_t> heap;  // open merges, least first: rank, then the byte where it begins
  };

  /// tokens   the bytes of every token by rank: unique, not empty, the 256 single bytes among them
  explicit Bpe(std::vector<std::string> tokens);
  Bpe(Bpe&&) = default;
  Bpe& operator=(Bpe&&) = default;
  Bpe(const Bpe&) = delete;
  Bpe& operator=(const Bpe&) = delete;

  const std::vector<std::string>& tokens() const { return tokens_; }

  /// Appends the tokens of one piece: itself where it is a token; else its bytes, of which the neighbours that together
  /// are the token of lowest rank are merged, leftmost first, until none are a token. This is tiktoken's order.
  ///
  /// piece   any bytes, fewer than 2^32
  /// cost    O(n log n) time and some 24 n bytes of workspace for n bytes
  void encode(std::string_view piece, Workspace& workspace, std::vector<TokenId>& ids) const;

 private:
  TokenId find(std::string_view bytes) const;
  void offer(std::string_view piece, uint32_t begin, Workspace& workspace) const;

  std::vector<std::string> tokens_;
  std::unordered_map<std::string_view, TokenId> ids_;  // views into tokens_, whose strings never move
  std::size_t longest_ = 0;
};

}  // namespace kvproof
