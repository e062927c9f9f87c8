// The pattern that cuts text into the pieces BPE works in.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kvproof {

/// Whose reading of a pattern is meant, and what becomes of text between matches.
enum class Dialect {
  tiktoken,   // the fancy-regex and regex crates of Rust; dropped
  oniguruma,  // Hugging Face's tokenizers, a Split whose behavior is Isolated; a piece of its own
};

/// A pattern in the syntax of tiktoken or of Hugging Face's tokenizers, run by PCRE2.
///
/// They read most patterns alike. What they read differently is translated (\s and \w, which PCRE2 takes wider or
/// narrower than Unicode's White_Space and word characters; \v), or refused (\b, \h, nested classes and the like; of
/// Oniguruma's also \w, \x, ^, $, flags but (?i:…), and what follows a {n,m}).
/// Not covered: flag x, and Unicode versions. PCRE2 10.42 knows Unicode 14: a letter, digit or mark assigned later is
/// to it an unassigned character, and may be cut off its neighbours.
class SplitPattern {
 public:
  enum class Jit { kIfAvailable, kOff };

  /// pattern  e.g. nanochat's, from the pickle
  /// place    the file it comes from, for messages
  /// throws   TokenizerError: not a pattern (PCRE2's message and the byte), or one that has to be refused
  SplitPattern(std::string_view pattern, std::string place, Jit jit = Jit::kIfAvailable,
               Dialect dialect = Dialect::tiktoken);
  SplitPattern(SplitPattern&&) noexcept;
  SplitPattern& operator=(SplitPattern&&) noexcept;
  ~SplitPattern();

  /// The matches, from left to right. What lies between them is dropped, and so are empty matches together with the
  /// character behind them, as tiktoken does it; or is a piece of its own, which empty matches cut, as tokenizers does it.
  ///
  /// text     valid UTF-8
  /// returns  views into text
  /// throws   TokenizerError if the pattern backtracks without end on this text
  /// cost     linear in text for nanochat's pattern, runs of one megabyte included; the pattern's business for others
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace kvproof
