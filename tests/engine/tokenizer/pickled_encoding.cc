#include "tests/engine/tokenizer/pickled_encoding.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>

namespace kvproof::testing {
namespace {

std::string little_endian(uint32_t value) {
  std::string bytes;
  for (int i = 0; i < 4; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

}  // namespace

std::string pickled(int64_t value) { return 'J' + little_endian(static_cast<uint32_t>(static_cast<int32_t>(value))); }

std::string pickled(std::string_view text) {
  return 'X' + little_endian(static_cast<uint32_t>(text.size())) + std::string(text);
}

std::string pickled_bytes(std::string_view bytes) {
  return 'B' + little_endian(static_cast<uint32_t>(bytes.size())) + std::string(bytes);
}

std::string pickled_none() { return "N"; }

std::string pickled_dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string text = "}(";
  for (const auto& [key, value] : items) text += key + value;
  return text + "u";
}

std::string pickle_of(std::string_view module, std::string_view name, const std::string& state) {
  return "\x80\x04" + pickled(module) + pickled(name) + "\x93)\x81" + state + "b.";
}

EncodingFields::EncodingFields() {
  for (int byte = 0; byte < 256; ++byte) ranks.emplace_back(std::string(1, static_cast<char>(byte)), byte);
  ranks.emplace_back("ab", 256);
  ranks.emplace_back("abc", 257);
  for (const char* name : {"<|bos|>", "<|user_start|>", "<|user_end|>", "<|assistant_start|>", "<|assistant_end|>",
                           "<|python_start|>", "<|python_end|>", "<|output_start|>", "<|output_end|>"}) {
    special.emplace_back(name, static_cast<int64_t>(ranks.size() + special.size()));
  }
}

std::string EncodingFields::pickle() const {
  std::vector<std::pair<std::string, std::string>> rank_items, special_items, fields;
  for (const auto& [bytes, id] : ranks) rank_items.emplace_back(pickled_bytes(bytes), pickled(id));
  for (const auto& [name, id] : special) special_items.emplace_back(pickled(name), pickled(id));
  const auto add = [&](const std::string& name, const std::string& value) {
    if (std::find(without.begin(), without.end(), name) == without.end()) fields.emplace_back(pickled(name), value);
  };
  add("name", pickled("test"));
  add("pat_str", pickled(pat_str));
  add("mergeable_ranks", pickled_dict(rank_items));
  add("special_tokens", pickled_dict(special_items));
  for (const auto& [name, value] : more) add(name, value);
  return pickle_of("tiktoken.core", "Encoding", pickled_dict(fields));
}

TokenizerFolder::TokenizerFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "kvproof_tokenizer_XXXXXX").string();
  if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder " + name);
  path_ = name;
}

TokenizerFolder::TokenizerFolder(const std::string& pickle) : TokenizerFolder() {
  std::ofstream(file(), std::ios::binary) << pickle;
}

TokenizerFolder::~TokenizerFolder() { std::filesystem::remove_all(path_); }

}  // namespace kvproof::testing
