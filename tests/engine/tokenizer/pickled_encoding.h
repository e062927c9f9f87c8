// Writes tokenizer folders with any fault in them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvproof::testing {

/// Values as pickle opcodes (protocol 4).
std::string pickled(int64_t value);  // within 32 bits
std::string pickled(std::string_view text);
std::string pickled_bytes(std::string_view bytes);
std::string pickled_none();
/// Keys and values are opcodes already.
std::string pickled_dict(const std::vector<std::pair<std::string, std::string>>& items);
/// A whole file: an object of module.name, made by NEWOBJ, given its state by BUILD.
std::string pickle_of(std::string_view module, std::string_view name, const std::string& state);

/// What a tokenizer.pkl of nanochat holds, ready to be spoilt.
struct EncodingFields {
  EncodingFields();
  std::string pat_str = R"(\S+|\s+)";
  std::vector<std::pair<std::string, int64_t>> ranks;     // the 256 bytes, then "ab" and "abc"
  std::vector<std::pair<std::string, int64_t>> special;   // nanochat's nine from 258
  std::vector<std::pair<std::string, std::string>> more;  // further fields: name and opcodes
  std::vector<std::string> without;                       // fields to leave out

  std::string pickle() const;
};

/// A folder under the system's temporary one, removed with its contents at the end.
class TokenizerFolder {
 public:
  TokenizerFolder();
  /// With a tokenizer.pkl of these bytes.
  explicit TokenizerFolder(const std::string& pickle);
  ~TokenizerFolder();
  TokenizerFolder(const TokenizerFolder&) = delete;
  TokenizerFolder& operator=(const TokenizerFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string file() const { return (path_ / "tokenizer.pkl").string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace kvproof::testing
