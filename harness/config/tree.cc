#include "harness/config/tree.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>

#include "harness/error.h"

namespace kvproof::config {
namespace {

constexpr int kMaxDepth = 32;            // also ends an alias that contains itself
constexpr int64_t kMaxValues = 200'000;  // aliases can multiply a few lines into billions of values

class Converter {
 public:
  /// One of the two is empty: places are in the file, or all the same.
  Converter(std::string file, std::string fixed_place) : file_(std::move(file)), fixed_place_(std::move(fixed_place)) {}

  Tree convert(const YAML::Node& node, const std::string& path, const std::string& fallback_place, int depth = 0) {
    Tree tree;
    tree.place = place_of(node.Mark(), fallback_place);
    if (depth > kMaxDepth) fail(tree.place, "", fmt::format("nested more than {} levels deep", kMaxDepth));
    if (++values_ > kMaxValues) fail(tree.place, "", fmt::format("more than {} values in the config", kMaxValues));
    if (node.IsScalar()) {
      tree.kind = Tree::Kind::scalar;
      tree.text = node.Scalar();
      tree.quoted = node.Tag() == "!" || node.Tag() == "tag:yaml.org,2002:str";
    } else if (node.IsSequence()) {
      tree.kind = Tree::Kind::list;
      for (std::size_t i = 0; i < node.size(); ++i) {
        tree.children.push_back(convert(node[i], join(path, std::to_string(i)), tree.place, depth + 1));
      }
    } else if (node.IsMap()) {
      tree.kind = Tree::Kind::map;
      for (const auto& entry : node) add_entry(tree, entry.first, entry.second, path, depth);
    }
    return tree;
  }

  std::string place_of(const YAML::Mark& mark, const std::string& fallback_place) const {
    if (!fixed_place_.empty()) return fixed_place_;
    if (mark.is_null()) return fallback_place;
    return fmt::format("{}:{}:{}", file_, mark.line + 1, mark.column + 1);  // zero-based; editors count from one
  }

 private:
  void add_entry(Tree& map, const YAML::Node& key, const YAML::Node& value, const std::string& path, int depth) {
    const std::string key_place = place_of(key.Mark(), map.place);
    if (!key.IsScalar()) fail(key_place, path, "a key must be one plain word");
    if (const Tree* first = map.find({key.Scalar()})) {
      const bool seen_in_file = fixed_place_.empty();
      fail(key_place, join(path, key.Scalar()),
           seen_in_file ? "given twice, first at " + first->key_place : "given twice");
    }
    Tree child = convert(value, join(path, key.Scalar()), key_place, depth + 1);
    child.key = key.Scalar();
    child.key_place = key_place;
    if (child.kind == Tree::Kind::null)
      child.place = key_place;  // where nothing stands, yaml-cpp's mark is what follows
    map.children.push_back(std::move(child));
  }

  std::string file_, fixed_place_;
  int64_t values_ = 0;
};

/// nlohmann's serializer is the UTF-8 check at hand: it refuses what is not.
bool is_utf8(const std::string& text) {
  try {
    nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

/// yaml-cpp would replace bytes that are not UTF-8, and take one control character (0x04) for the end of the file.
void check_bytes(const std::string& text, const std::string& place) {
  if (!is_utf8(text)) fail(place, "", "not UTF-8; save it as UTF-8 text");
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7f) {
      fail(place, "",
           fmt::format("holds the control character 0x{:02x}; in a double-quoted string write \"\\x{:02x}\"", byte,
                       byte));
    }
  }
}

/// The only document in text. throws ConfigError
YAML::Node parse(const std::string& text, const Converter& converter, const std::string& place) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      fail(converter.place_of(documents[1].Mark(), place), "", "a second YAML document; a config is one document");
    }
    return documents.empty() ? YAML::Node() : documents[0];
  } catch (const YAML::Exception& error) {
    fail(converter.place_of(error.mark, place), "", "not valid YAML: " + error.msg);
  }
}

std::vector<std::string> split_path(const std::string& path) {
  std::vector<std::string> keys;
  std::stringstream stream(path);
  for (std::string key; std::getline(stream, key, '.');) {
    keys.push_back(key);
    if (keys.size() == 1 && key == "sweep" && path.size() > 6) {
      keys.push_back(path.substr(6));  // sweep's keys have dots in them
      break;
    }
  }
  return keys;
}

/// The entry or item of parent to be set; a map gains it where it lacks it.
Tree& child_for_set(Tree& parent, const std::string& path, const std::string& key, const std::string& place) {
  if (parent.kind == Tree::Kind::list) {
    for (std::size_t i = 0; i < parent.children.size(); ++i) {
      if (key == std::to_string(i)) return parent.children[i];
    }
    fail(place, "", fmt::format("{} has no entry {}; it has {}, counted from 0", path, key, parent.children.size()));
  }
  if (parent.kind == Tree::Kind::scalar) fail(place, "", fmt::format("{} is {}, not a map", path, describe(parent)));
  if (parent.kind == Tree::Kind::null) {
    parent.kind = Tree::Kind::map;
    parent.place = place;
  }
  for (Tree& child : parent.children) {
    if (child.key == key) return child;
  }
  Tree child;
  child.key = key;
  child.place = child.key_place = place;
  return parent.children.emplace_back(std::move(child));
}

void erase_key(Tree& map, const std::string& key) {
  map.children.erase(
      std::remove_if(map.children.begin(), map.children.end(), [&](const Tree& c) { return c.key == key; }),
      map.children.end());
}

/// Takes what was set for all prompts out of the prompts' own settings.
void erase_from_prompts(Tree& root, const std::vector<std::string>& keys, const Tree& value) {
  constexpr std::array kSections = {"sampler", "run", "naive"};
  if (std::find(kSections.begin(), kSections.end(), keys[0]) == kSections.end()) return;
  for (Tree& top : root.children) {
    if (top.key != "prompts") continue;
    for (Tree& prompt : top.children) {
      for (Tree& section : prompt.children) {
        if (section.key != keys[0]) continue;
        if (keys.size() > 1)
          erase_key(section, keys[1]);
        else
          for (const Tree& entry : value.children) erase_key(section, entry.key);
      }
    }
  }
}

}  // namespace

const Tree* Tree::find(const std::vector<std::string>& keys) const {
  const Tree* at = this;
  for (const std::string& key : keys) {
    const Tree* next = nullptr;
    for (std::size_t i = 0; i < at->children.size() && !next; ++i) {
      const Tree& child = at->children[i];
      if (at->kind == Kind::map ? child.key == key : std::to_string(i) == key) next = &child;
    }
    if (!next) return nullptr;
    at = next;
  }
  return at;
}

Tree read_tree(const std::filesystem::path& file) {
  const std::string name = file.string();
  constexpr const char* kHint = "`kvproof init` writes a config to start from";
  if (std::filesystem::is_directory(file)) fail(name, "", fmt::format("a directory, not a config; {}", kHint));
  std::ifstream stream(file, std::ios::binary);
  const int error = errno;
  if (!stream) {
    fail(name, "", fmt::format("cannot be read: {}; {}", std::generic_category().message(error), kHint));
  }
  std::stringstream text;
  text << stream.rdbuf();

  const std::string start = name + ":1:1";
  std::string line;
  for (int64_t number = 1; std::getline(text, line); ++number) check_bytes(line, fmt::format("{}:{}:1", name, number));
  Converter converter(name, "");
  Tree tree = converter.convert(parse(text.str(), converter, start), "", start);
  if (tree.kind == Tree::Kind::null) fail(start, "", fmt::format("empty; {}", kHint));
  return tree;
}

void apply_set(Tree& root, const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  const std::string path = assignment.substr(0, equals);
  const std::string place = "--set " + path;
  if (equals == std::string::npos || path.empty() || path.front() == '.' || path.back() == '.' ||
      path.find("..") != std::string::npos) {
    fail("--set " + assignment, "", "expected key=value, as in --set sampler.max_tokens=16");
  }
  const std::string text = assignment.substr(equals + 1);
  check_bytes(text, place);
  Converter converter("", place);
  Tree value = converter.convert(parse(text, converter, place), path, place);

  const std::vector<std::string> keys = split_path(path);
  erase_from_prompts(root, keys, value);
  Tree* at = &root;
  std::string walked;
  for (const std::string& key : keys) {
    at = &child_for_set(*at, walked, key, place);
    walked = join(walked, key);
  }
  value.key = at->key;
  value.key_place = at->key_place;
  *at = std::move(value);
}

void fail(const std::string& place, const std::string& path, const std::string& why) {
  const bool said = path.empty() || place == "--set " + path;
  throw ConfigError(place, said ? why : path + ": " + why);
}

std::string join(const std::string& path, const std::string& key) { return path.empty() ? key : path + "." + key; }

std::string describe(const Tree& tree) {
  constexpr std::size_t kLongest = 40;
  switch (tree.kind) {
    case Tree::Kind::null:
      return "null";
    case Tree::Kind::list:
      return "a list";
    case Tree::Kind::map:
      return "a map";
    case Tree::Kind::scalar:
      break;
  }
  std::size_t end = std::min(tree.text.size(), kLongest);
  while (end < tree.text.size() && end > 0 && (tree.text[end] & 0xc0) == 0x80) --end;  // never inside a character
  const std::string text = tree.text.substr(0, end) + (end < tree.text.size() ? "…" : "");
  return tree.quoted ? fmt::format("the string \"{}\"", text) : text;
}

}  // namespace kvproof::config
