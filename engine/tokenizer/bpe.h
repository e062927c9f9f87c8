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

/// Two neighbouring tokens and what they become.
struct Merge {
  TokenId left, right, merged;
};

class Bpe {
 public:
  /// Memory that encode() uses again from piece to piece; holds no state between calls. One per thread.
  struct Workspace {
    struct Part {
      uint32_t prev, end;  // where the part before this one begins, where this one ends
      TokenId id;          // the token these bytes are so far
      TokenId merged;      // the token this part and the next make together, or none
      TokenId rank;        // of that merge
    };
    std::vector<Part> parts;     // by the byte at which a part begins
    std::vector<uint64_t> heap;  // open merges, least first: rank, then the byte where it begins
  };

  /// Any two neighbours that together are a token merge, at that token's rank: its id. tiktoken's way.
  ///
  /// tokens   the bytes of every token by rank: unique, not empty, the 256 single bytes among them
  explicit Bpe(std::vector<std::string> tokens);
  /// Only the merges that are listed exist; their order is their rank. Hugging Face's way.
  ///
  /// tokens        by id, as above; those that is_special marks are never found in text
  /// merges        of ids below tokens.size()
  /// whole_pieces  a piece that is a token becomes it, whether merges lead there or not (its ignore_merges)
  Bpe(std::vector<std::string> tokens, const std::vector<bool>& is_special, const std::vector<Merge>& merges,
      bool whole_pieces);
  Bpe(Bpe&&) = default;
  Bpe& operator=(Bpe&&) = default;
  Bpe(const Bpe&) = delete;
  Bpe& operator=(const Bpe&) = delete;

  const std::vector<std::string>& tokens() const { return tokens_; }

  /// Appends the tokens of one piece: itself where it is a token (of listed merges: with whole_pieces); else its bytes, of
  /// which the neighbours whose merge has the lowest rank are merged, leftmost first, until no merge is left.
  ///
  /// piece   any bytes, fewer than 2^32
  /// cost    O(n log n) time and some 28 n bytes of workspace for n bytes
  void encode(std::string_view piece, Workspace& workspace, std::vector<TokenId>& ids) const;

 private:
  TokenId find(std::string_view bytes) const;
  void offer(std::string_view piece, uint32_t begin, Workspace& workspace) const;

  std::vector<std::string> tokens_;
  std::unordered_map<std::string_view, TokenId> ids_;  // views into tokens_, whose strings never move
  std::size_t longest_ = 0;
  bool whole_pieces_ = true;

  struct Ranked {
    TokenId rank, merged;
  };
  bool merges_are_listed_ = false;
  std::unordered_map<uint64_t, Ranked> merges_;  // by the two ids
};

}  // namespace kvproof
