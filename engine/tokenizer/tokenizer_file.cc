#include "engine/tokenizer/tokenizer_file.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "engine/checkpoint/mapped_file.h"
#include "engine/checkpoint/pickle.h"
#include "engine/checkpoint/text.h"
#include "engine/error.h"
#include "engine/tokenizer/tokenizer_json.h"

namespace kvproof {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFileName = "tokenizer.pkl", kJsonName = "tokenizer.json";
constexpr std::string_view kEncoding = "tiktoken.core.Encoding";
constexpr std::string_view kAdvice = "use a tokenizer.pkl that nanochat wrote";

std::string listing(const fs::path& folder) {
  constexpr std::size_t kMostNames = 8;
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    names.push_back(quote(entry.path().filename().string()));
  }
  std::sort(names.begin(), names.end());
  return names.empty() ? "nothing" : listed(names, kMostNames);
}

std::string read_bytes(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    throw TokenizerError(folder.string(),
                         fmt::format("expected a folder that holds {}, found {}; copy nanochat's tokenizer folder here "
                                     "or name another one",
                                     kFileName, fs::exists(folder, ignored) ? "a file" : "nothing"));
  }
  const fs::path file = folder / kFileName;
  std::ifstream in(file, std::ios::binary);
  if (!fs::is_regular_file(file, ignored) || !in) {
    throw TokenizerError(file.string(), fmt::format("expected a file that can be read; the folder holds {}; copy "
                                                    "nanochat's tokenizer folder here or name another one",
                                                    listing(folder)));
  }
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// A token's bytes as hex, for messages.
std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += fmt::format("{}{:02x}", text.empty() ? "" : " ", static_cast<uint8_t>(byte));
  return text.empty() ? "no bytes" : text;
}

class EncodingReader {
 public:
  explicit EncodingReader(std::string file) { result_.place = std::move(file); }

  TokenizerFile read(const PickleRef& root) && {
    const auto* encoding = root->get<PickleObject>();
    if (!encoding || encoding->callable != kEncoding) {
      fail(fmt::format("expected a pickled {}, found {}", kEncoding, root->type_name()));
    }
    if (encoding->state && encoding->state->get<std::string>()) {
      fail(fmt::format("expected the vocabulary itself, found only the name of a tiktoken encoding, {}",
                       quote(*encoding->state->get<std::string>())));
    }
    state_ = encoding->state ? encoding->state->get<PickleDict>() : nullptr;
    if (!state_) {
      fail(fmt::format("expected {} with a state of type dict, found {}", kEncoding,
                       encoding->state ? encoding->state->type_name() : "none"));
    }
    result_.pattern = field<std::string>("pat_str", "str");
    read_ranks(field<PickleDict>("mergeable_ranks", "dict"));
    read_special(field<PickleDict>("special_tokens", "dict"));
    check_explicit_n_vocab();
    return std::move(result_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw TokenizerError(result_.place, fmt::format("{}; {}", what, kAdvice));
  }

  const PickleValue* find(std::string_view name) const {
    for (const auto& [key, value] : state_->items) {
      const auto* text = key->get<std::string>();
      if (text && *text == name) return value.get();
    }
    return nullptr;
  }

  template <class T>
  const T& field(std::string_view name, std::string_view type) const {
    const PickleValue* value = find(name);
    if (!value) fail(fmt::format("expected the field {}, found none", name));
    const T* data = value->get<T>();
    if (!data) fail(fmt::format("{}: expected {}, found {}", name, type, value->type_name()));
    return *data;
  }

  /// The entries of a dict key to id, in the order of their ids, which are first, first + 1, ….
  template <class Key>
  std::vector<std::string> by_id(const PickleDict& dict, std::string_view name, std::string_view type,
                                 std::size_t first, std::string (*show)(std::string_view)) const {
    std::vector<std::string> keys(dict.items.size());
    std::vector<bool> taken(keys.size());
    for (const std::pair<PickleRef, PickleRef>& item : dict.items) {
      const Key* key = item.first->get<Key>();
      const int64_t* id = item.second->get<int64_t>();
      if (!key || !id) {
        fail(fmt::format("{}: expected {} to int, found {} to {}", name, type, item.first->type_name(),
                         item.second->type_name()));
      }
      std::string text;
      if constexpr (std::is_same_v<Key, PickleBytes>) {
        text = key->data;
      } else {
        text = *key;
      }
      const uint64_t index = static_cast<uint64_t>(*id) - first;  // wraps to beyond the end below first
      if (index >= keys.size()) {
        fail(fmt::format("{}: expected the ids {} to {} for {} entries, found {} for {}", name, first,
                         first + keys.size() - 1, keys.size(), *id, show(text)));
      }
      if (taken[index]) fail(fmt::format("{}: id {} is both {} and {}", name, *id, show(keys[index]), show(text)));
      taken[index] = true;
      keys[index] = std::move(text);
    }
    std::unordered_set<std::string_view> unique;
    for (const auto& key : keys) {
      if (key.empty()) fail(fmt::format("{}: expected keys that are not empty, found an empty one", name));
      if (!unique.insert(key).second) fail(fmt::format("{}: {} has two ids", name, show(key)));
    }
    return keys;
  }

  void read_ranks(const PickleDict& ranks) {
    result_.tokens = by_id<PickleBytes>(ranks, "mergeable_ranks", "bytes", 0, hex);
    std::vector<bool> covered(256);
    for (const auto& token : result_.tokens) {
      if (token.size() == 1) covered[static_cast<uint8_t>(token[0])] = true;
    }
    const auto missing = std::find(covered.begin(), covered.end(), false);
    if (missing != covered.end()) {
      fail(fmt::format("mergeable_ranks: expected all 256 single bytes, found {}; the first one missing is {:02x}",
                       std::count(covered.begin(), covered.end(), true), missing - covered.begin()));
    }
  }

  void read_special(const PickleDict& special) {
    result_.special = by_id<std::string>(special, "special_tokens", "str", result_.tokens.size(), quote);
    for (std::size_t i = 0; i < result_.special.size(); ++i)
      result_.special_ids.push_back(static_cast<TokenId>(result_.tokens.size() + i));
  }

  void check_explicit_n_vocab() const {
    const PickleValue* value = find("explicit_n_vocab");
    if (!value || value->get<PickleNone>()) return;
    const auto found = field<int64_t>("explicit_n_vocab", "int");
    const auto expected = static_cast<int64_t>(result_.tokens.size() + result_.special.size());
    if (found != expected) {
      fail(fmt::format("explicit_n_vocab: expected {}, the number of tokens and special tokens, found {}", expected,
                       found));
    }
  }

  TokenizerFile result_;
  const PickleDict* state_ = nullptr;
};

}  // namespace

std::filesystem::path tokenizer_file_in(const std::filesystem::path& tokenizer_dir) {
  std::error_code ignored;
  const bool only_json =
      !fs::exists(tokenizer_dir / kFileName, ignored) && fs::exists(tokenizer_dir / kJsonName, ignored);
  return tokenizer_dir / (only_json ? kJsonName : kFileName);
}

TokenizerFile read_tokenizer_file(const std::filesystem::path& tokenizer_dir) {
  const fs::path file = tokenizer_file_in(tokenizer_dir);
  if (file.filename() == kJsonName) return read_tokenizer_json(MappedFile::open(file)->bytes(), file.string());
  return read_tokenizer_bytes(read_bytes(tokenizer_dir), (tokenizer_dir / kFileName).string());
}

TokenizerFile read_tokenizer_bytes(std::string_view bytes, const std::string& place) {
  PickleRef root;
  try {
    root = read_pickle(bytes, place, [](std::string_view global) { return global == kEncoding; });
  } catch (const CheckpointError& error) {  // whoever loads a tokenizer expects its kind
    throw TokenizerError(error.place(), error.message());
  }
  return EncodingReader(place).read(root);
}

}  // namespace kvproof
