#include "engine/tokenizer/tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "engine/checkpoint/json_text.h"
#include "engine/checkpoint/text.h"
#include "engine/error.h"

namespace kvproof {
namespace {

using nlohmann::json;

constexpr std::array<const char*, 9> kFields = {"version",        "truncation", "padding",
                                                "added_tokens",   "normalizer", "pre_tokenizer",
                                                "post_processor", "decoder",    "model"};
constexpr int64_t kMostTokens = 1 << 24;

// Whether byte-level vocabularies show a byte as the Latin-1 character it is. The others take U+0100 and on, in order.
bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// The byte by the code point that shows it, -1 where none does.
std::array<int, 512> byte_alphabet() {
  std::array<int, 512> bytes;
  bytes.fill(-1);
  std::size_t next = 256;
  for (int byte = 0; byte < 256; ++byte)
    bytes[stands_for_itself(byte) ? static_cast<std::size_t>(byte) : next++] = byte;
  return bytes;
}

// Nothing where a character shows no byte. shown: valid UTF-8, as JSON's parser leaves it
std::optional<std::string> bytes_of(std::string_view shown) {
  static const auto kBytes = byte_alphabet();
  std::string bytes;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    std::size_t point = static_cast<unsigned char>(shown[i]);
    if (point >= 0x80) {  // two bytes reach U+07FF, further than the alphabet
      if ((point & 0xE0) != 0xC0) return std::nullopt;
      point = (point & 0x1F) << 6 | (static_cast<unsigned char>(shown[++i]) & 0x3F);
    }
    if (point >= kBytes.size() || kBytes[point] < 0) return std::nullopt;
    bytes += static_cast<char>(kBytes[point]);
  }
  return bytes;
}

class TokenizerJsonReader {
 public:
  TokenizerJsonReader(const json& root, const std::string& place) : root_(root) { result_.place = place; }

  TokenizerFile read() && {
    if (!root_.is_object()) fail("", fmt::format("expected an object, found {}", shown(root_)));
    for (const auto& [key, value] : root_.items()) {
      if (std::find(kFields.begin(), kFields.end(), key) == kFields.end()) fail(quote(key), "is not known here");
    }
    for (const char* field : {"normalizer", "truncation", "padding"}) expect(root_, "", field, json());
    read_pre_tokenizer();
    expect(at(root_, "", "decoder", json::value_t::object), "decoder.", "type", "ByteLevel");
    read_model();
    return std::move(result_);
  }

 private:
  // --- faults and fields ----------------------------------------------------------------------------------------

  [[noreturn]] void fail(const std::string& field, const std::string& message) const {
    throw TokenizerError(result_.place, fmt::format("{}{}{}; use a byte-level BPE as nanochat's is", field,
                                                    field.empty() ? "" : ": ", message));
  }

  const json& at(const json& object, const std::string& path, const char* key, json::value_t type) const {
    const auto found = object.find(key);
    if (found == object.end()) fail(path + key, "is missing");
    if (found->type() != type)
      fail(path + key, fmt::format("expected {}, found {}", json(type).type_name(), shown(*found)));
    return *found;
  }

  // An absent field counts as null.
  void expect(const json& object, const std::string& path, const char* key, const json& value) const {
    const json found = object.value(key, json());
    if (found != value) fail(path + key, fmt::format("expected {}, found {}", value.dump(), shown(found)));
  }

  // Null, false, 0 and "" are all ways of not using something.
  void expect_unused(const json& object, const std::string& path, const char* key) const {
    const json found = object.value(key, json());
    const bool unused = found.is_null() || found == false || found == "" || (found.is_number() && found == 0);
    if (!unused) fail(path + key, fmt::format("expected none, found {}", shown(found)));
  }

  // --- sections -------------------------------------------------------------------------------------------------

  void read_pre_tokenizer() {
    const json& sequence = at(root_, "", "pre_tokenizer", json::value_t::object);
    expect(sequence, "pre_tokenizer.", "type", "Sequence");
    const json& steps = at(sequence, "pre_tokenizer.", "pretokenizers", json::value_t::array);
    const std::string path = "pre_tokenizer.pretokenizers";
    if (steps.size() != 2 || !steps[0].is_object() || !steps[1].is_object())
      fail(path, fmt::format("expected a Split and a ByteLevel, found {}", shown(steps)));
    expect(steps[0], path + "[0].", "type", "Split");
    expect(steps[0], path + "[0].", "behavior", "Isolated");
    expect(steps[0], path + "[0].", "invert", false);
    expect(steps[1], path + "[1].", "type", "ByteLevel");
    expect(steps[1], path + "[1].", "add_prefix_space", false);
    expect(steps[1], path + "[1].", "use_regex", false);
    const json& pattern = at(steps[0], path + "[0].", "pattern", json::value_t::object);
    result_.pattern = at(pattern, path + "[0].pattern.", "Regex", json::value_t::string).get<std::string>();
  }

  void read_model() {
    const json& model = at(root_, "", "model", json::value_t::object);
    expect(model, "model.", "type", "BPE");
    for (const char* field : {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"})
      expect_unused(model, "model.", field);
    const json& vocab = at(model, "model.", "vocab", json::value_t::object);
    read_added(vocab);
    read_vocab(vocab);
    check_bytes();
    result_.listed.emplace();
    const json whole = model.value("ignore_merges", json(false));
    if (!whole.is_boolean()) fail("model.ignore_merges", fmt::format("expected true or false, found {}", shown(whole)));
    result_.listed->whole_pieces = whole.get<bool>();
    read_merges(at(model, "model.", "merges", json::value_t::array), vocab);
  }

  // Added tokens may be in the vocabulary too, then with the same id.
  void read_added(const json& vocab) {
    const json& added = at(root_, "", "added_tokens", json::value_t::array);
    for (std::size_t i = 0; i < added.size(); ++i) {
      const std::string path = fmt::format("added_tokens[{}].", i);
      if (!added[i].is_object()) fail(path.substr(0, path.size() - 1), "expected an object, found " + shown(added[i]));
      expect(added[i], path, "special", true);
      const auto name = at(added[i], path, "content", json::value_t::string).get<std::string>();
      const int64_t id = id_of(path + "id", at(added[i], path, "id", json::value_t::number_unsigned));
      if (const auto same = vocab.find(name); same != vocab.end() && *same != id)
        fail(path + "id",
             fmt::format("expected {}, which model.vocab has for {}, found {}", shown(*same), quote(name), id));
      if (std::find(result_.special.begin(), result_.special.end(), name) != result_.special.end())
        fail(path + "content", fmt::format("{} occurs twice", quote(name)));
      result_.special.push_back(name);
      result_.special_ids.push_back(static_cast<TokenId>(id));
      not_in_vocab_ += vocab.contains(name) ? 0 : 1;
    }
  }

  int64_t id_of(const std::string& field, const json& value) const {
    if (!value.is_number_unsigned() || value.get<uint64_t>() >= static_cast<uint64_t>(kMostTokens))
      fail(field, fmt::format("expected an id below {}, found {}", kMostTokens, shown(value)));
    return value.get<int64_t>();
  }

  void read_vocab(const json& vocab) {
    result_.tokens.resize(vocab.size() + not_in_vocab_);
    std::vector<bool> taken(result_.tokens.size());
    const auto put = [&](const std::string& field, const std::string& name, int64_t id, std::string bytes) {
      const auto index = static_cast<std::size_t>(id);
      if (index >= taken.size() || taken[index]) {
        fail(field, fmt::format("expected the ids 0 to {} for {} tokens, each once, found {} for {}", taken.size() - 1,
                                taken.size(), id, quote(name)));
      }
      taken[index] = true;
      result_.tokens[index] = std::move(bytes);
    };
    for (std::size_t i = 0; i < result_.special.size(); ++i)
      put(fmt::format("added_tokens[{}].id", i), result_.special[i], result_.special_ids[i], result_.special[i]);
    for (const auto& [name, value] : vocab.items()) {
      if (std::find(result_.special.begin(), result_.special.end(), name) != result_.special.end()) continue;
      auto bytes = bytes_of(name);
      if (!bytes || bytes->empty()) {
        fail("model.vocab", fmt::format("expected tokens in the byte alphabet, found {}; other tokens have to be "
                                        "added_tokens",
                                        quote(name)));
      }
      put("model.vocab", name, id_of("model.vocab." + name, value), std::move(*bytes));
    }
  }

  // Without all of them some text would have no tokens.
  void check_bytes() const {
    std::vector<bool> covered(256);
    for (std::size_t id = 0; id < result_.tokens.size(); ++id) {
      if (result_.tokens[id].size() == 1) covered[static_cast<unsigned char>(result_.tokens[id][0])] = true;
    }
    const auto missing = std::find(covered.begin(), covered.end(), false);
    if (missing != covered.end()) {
      fail("model.vocab", fmt::format("expected all 256 single bytes, found {}; the first one missing is {:02x}",
                                      std::count(covered.begin(), covered.end(), true), missing - covered.begin()));
    }
  }

  // ["a", "b"], or "a b" in older files.
  void read_merges(const json& merges, const json& vocab) {
    for (std::size_t rank = 0; rank < merges.size(); ++rank) {
      const std::string field = fmt::format("model.merges[{}]", rank);
      const auto [left, right] = pair_of(merges[rank], field);
      const auto token = [&](const std::string& name) {
        const auto found = vocab.find(name);
        if (found == vocab.end()) fail(field, fmt::format("expected tokens of model.vocab, found {}", quote(name)));
        return static_cast<TokenId>(found->get<int64_t>());
      };
      result_.listed->merges.push_back({token(left), token(right), token(left + right)});
    }
  }

  std::pair<std::string, std::string> pair_of(const json& merge, const std::string& field) const {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
      return {merge[0].get<std::string>(), merge[1].get<std::string>()};
    const std::string text = merge.is_string() ? merge.get<std::string>() : "";
    const std::size_t space = text.find(' ');
    if (space == std::string::npos || space == 0 || text.find(' ', space + 1) != std::string::npos ||
        space + 1 == text.size())
      fail(field, fmt::format("expected two tokens, found {}", shown(merge)));
    return {text.substr(0, space), text.substr(space + 1)};
  }

  const json& root_;
  TokenizerFile result_;
  std::size_t not_in_vocab_ = 0;  // added tokens
};

}  // namespace

TokenizerFile read_tokenizer_json(std::string_view text, const std::string& place) {
  json root;
  try {
    root = parse_json(text, place);
  } catch (const CheckpointError& error) {  // whoever loads a tokenizer expects its kind
    throw TokenizerError(error.place(), error.message());
  }
  return TokenizerJsonReader(root, place).read();
}

}  // namespace kvproof
