// Values against the table of keys.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <regex>

#include "harness/config/fields.h"

namespace kvproof::config {
namespace {

constexpr int64_t kMostValues = 10'000;  // of one axis: no sweep may have more cases

std::string lower_snake(std::string word) {
  for (char& c : word) c = c == '-' ? '_' : (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
  return word;
}

/// Insertions, deletions, replacements and swaps of neighbours that turn a into b.
std::size_t edits(const std::string& a, const std::string& b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

/// Where a key that is unknown here would be known: "sampler.max_tokens" for "max_tokens" at the top.
std::string known_elsewhere(const std::string& key) {
  for (const Field& section : config_field().children) {
    for (const Field& setting : section.children) {
      if (!setting.shared.empty() && setting.name == key) return setting.shared;
    }
  }
  return "";
}

std::string suggestion(const std::string& word) {
  return word.empty() ? "" : fmt::format(", did you mean \"{}\"?", word);
}

[[noreturn]] void fail_type(const Field& field, const Tree& tree, const std::string& path,
                            const std::string& expected) {
  const std::string either = field.absent.empty() ? "" : " or " + field.absent;
  fail(tree.place, path, fmt::format("must be {}{}, got {}", expected, either, describe(tree)));
}

bool plain(const Tree& tree) { return tree.kind == Tree::Kind::scalar && !tree.quoted; }

bool looks_like_integer(const std::string& text) {
  static const std::regex pattern("[-+]?(0|[1-9][0-9]*)");  // 010 is 8 to some readers of YAML and 10 to others
  return text.size() < 100 && std::regex_match(text, pattern);
}

std::optional<double> as_number(const std::string& text) {
  const char* begin = text.c_str() + (text.starts_with('+') ? 1 : 0);
  const char* end = text.c_str() + text.size();
  double value = 0;
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (begin == end || stop != end || error != std::errc() || !std::isfinite(value)) return std::nullopt;
  return value;
}

Json read_integer(const Field& field, const Tree& tree, const std::string& path) {
  if (!plain(tree) || !looks_like_integer(tree.text)) fail_type(field, tree, path, "an integer");
  int64_t value = 0;
  const char* begin = tree.text.c_str() + (tree.text.starts_with('+') ? 1 : 0);
  const auto error = std::from_chars(begin, tree.text.c_str() + tree.text.size(), value).ec;
  if (error != std::errc() || value < field.low || value > field.high) {
    fail(tree.place, path, fmt::format("must be in [{}, {}], got {}", field.low, field.high, describe(tree)));
  }
  return value;
}

Json read_number(const Field& field, const Tree& tree, const std::string& path) {
  const std::optional<double> value = plain(tree) ? as_number(tree.text) : std::nullopt;
  if (!value) fail_type(field, tree, path, "a number");
  if (*value < static_cast<double>(field.low) || *value > static_cast<double>(field.high)) {
    fail(tree.place, path, fmt::format("must be in [{}, {}], got {}", field.low, field.high, describe(tree)));
  }
  return *value + 0.0;  // -0 is 0
}

Json read_boolean(const Field& field, const Tree& tree, const std::string& path) {
  const bool scalar = tree.kind == Tree::Kind::scalar;
  if ((scalar && tree.text == "on") || (plain(tree) && tree.text == "true")) return true;
  if ((scalar && tree.text == "off") || (plain(tree) && tree.text == "false")) return false;
  fail_type(field, tree, path, "true or false");
}

Json read_word(const Field& field, const Tree& tree, const std::string& path) {
  const auto known = [&](const std::string& word) {
    return std::find(field.words.begin(), field.words.end(), word) != field.words.end();
  };
  if (tree.kind == Tree::Kind::scalar) {
    if (known(tree.text)) return tree.text;
    // A writer of YAML 1.1 turns off into false.
    if (plain(tree) && tree.text == "false" && known("off")) return "off";
    if (plain(tree) && tree.text == "true" && known("on")) return "on";
  }
  const std::string meant = tree.kind == Tree::Kind::scalar ? did_you_mean(tree.text, field.words) : "";
  fail(tree.place, path,
       fmt::format("must be one of {}; got {}{}", fmt::join(field.words, ", "), describe(tree), suggestion(meant)));
}

Json read_string(const Field& field, const Tree& tree, const std::string& path) {
  if (tree.kind != Tree::Kind::scalar) fail_type(field, tree, path, "a string");
  if (plain(tree)) {
    const char* looks_like = as_number(tree.text)                          ? "number"
                             : tree.text == "true" || tree.text == "false" ? "boolean"
                                                                           : "";
    if (*looks_like) {
      fail(tree.place, path,
           fmt::format("must be a string, got the {} {}; put it in quotes", looks_like, describe(tree)));
    }
  }
  if (tree.text.empty()) fail(tree.place, path, "must not be empty");
  return tree.text;
}

Json read_list(const Field& field, const Tree& tree, const std::string& path) {
  if (tree.kind != Tree::Kind::list) fail_type(field, tree, path, "a list");
  if (tree.children.empty() && !field.may_be_empty) fail(tree.place, path, "must not be empty");
  Json values = Json::array();
  for (std::size_t i = 0; i < tree.children.size(); ++i) {
    values.push_back(read_value(field.children[0], tree.children[i], join(path, std::to_string(i))));
  }
  return values;
}

[[noreturn]] void fail_unknown_key(const Field& map, const Tree& entry, const std::string& path) {
  const std::vector<std::string> known = names_of(map.children);
  std::string meant = did_you_mean(entry.key, known);
  if (meant.empty()) meant = known_elsewhere(entry.key);
  fail(entry.key_place, path, fmt::format("unknown key{} (known: {})", suggestion(meant), fmt::join(known, ", ")));
}

Json read_map(const Field& field, const Tree& tree, const std::string& path) {
  // A section whose keys are all commented out is null.
  if (tree.kind != Tree::Kind::map && tree.kind != Tree::Kind::null) fail_type(field, tree, path, "a map");
  Json values = Json::object();
  for (const Tree& entry : tree.children) {
    const std::string entry_path = join(path, entry.key);
    const auto known = std::find_if(field.children.begin(), field.children.end(),
                                    [&](const Field& child) { return child.name == entry.key; });
    if (known == field.children.end()) fail_unknown_key(field, entry, entry_path);
    values[entry.key] = read_value(*known, entry, entry_path);
  }
  for (const std::string& key : field.required) {
    if (!values.contains(key))
      fail(tree.place, path, fmt::format("{} is missing; `kvproof init` writes a config to start from", key));
  }
  std::vector<std::string> given;
  for (const std::string& key : field.exactly_one) {
    if (values.contains(key)) given.push_back(key);
  }
  const bool stands_alone = given.empty() && !field.instead.empty() && values.contains(field.instead);
  if (!field.exactly_one.empty() && given.size() != 1 && !stands_alone) {
    fail(tree.place, path,
         fmt::format("needs exactly one of {}{}; got {}", fmt::join(field.exactly_one, ", "),
                     field.instead.empty() ? "" : fmt::format(", or {} alone", field.instead),
                     given.empty() ? "none" : fmt::format("{}", fmt::join(given, " and "))));
  }
  return values;
}

/// The values of "64-1024*2", "1-8+1" or "1-8"; nothing where tree is no range.
std::optional<Json> read_range(const Field& item, const Tree& tree, const std::string& path) {
  static const std::regex pattern("([0-9]{1,18})-([0-9]{1,18})(([*+])([0-9]{1,18}))?");
  std::smatch match;
  if (item.type != Type::integer || !plain(tree) || tree.text.size() > 100 ||
      !std::regex_match(tree.text, match, pattern)) {
    return std::nullopt;
  }
  const int64_t first = std::stoll(match[1]), last = std::stoll(match[2]);
  const bool multiply = match[4] == "*";
  const int64_t step = match[5].matched ? std::stoll(match[5]) : 1;
  if (first > last)
    fail(tree.place, path, fmt::format("the range {} goes down; write the smaller end first", tree.text));
  if (step < (multiply ? 2 : 1) || (multiply && first == 0)) {
    fail(tree.place, path,
         fmt::format("the range {} never ends; * needs a start of 1 and a factor of 2 at least, + a step of 1",
                     tree.text));
  }
  if (first < item.low || last > item.high) {
    fail(tree.place, path, fmt::format("must be in [{}, {}], got {}", item.low, item.high, tree.text));
  }
  Json values = Json::array();
  for (int64_t value = first; value <= last; value = multiply ? value * step : value + step) {
    if (std::ssize(values) == kMostValues) {
      fail(tree.place, path, fmt::format("the range {} has more than {} values", tree.text, kMostValues));
    }
    values.push_back(value);
    if (multiply && value > last / step) break;  // the product could overflow; a sum of numbers below 10^18 cannot
  }
  return values;
}

Json read_axis(const Field& field, const Tree& tree, const std::string& path) {
  const Field& item = field.children[0];
  if (const auto range = read_range(item, tree, path)) return *range;
  if (tree.kind != Tree::Kind::list) {
    fail_type(field, tree, path, item.type == Type::integer ? "a list or a range such as 64-1024*2" : "a list");
  }
  if (tree.children.empty()) fail(tree.place, path, "must not be empty");
  Json values = Json::array();
  for (std::size_t i = 0; i < tree.children.size(); ++i) {
    const Tree& child = tree.children[i];
    const std::string item_path = join(path, std::to_string(i));
    if (const auto range = read_range(item, child, item_path)) {
      values.insert(values.end(), range->begin(), range->end());
    } else {
      values.push_back(read_value(item, child, item_path));
    }
  }
  return values;
}

}  // namespace

std::string did_you_mean(const std::string& wrong, const std::vector<std::string>& known) {
  std::string best;
  std::size_t fewest = std::max<std::size_t>(1, wrong.size() / 3) + 1;
  for (const std::string& word : known) {
    if (wrong.size() > 100) break;
    const bool part = wrong.size() >= 4 && lower_snake(word).find(lower_snake(wrong)) != std::string::npos;
    const std::size_t distance =
        part ? std::min<std::size_t>(1, word.size() - wrong.size()) : edits(lower_snake(wrong), lower_snake(word));
    if (distance >= fewest) continue;
    fewest = distance;
    best = word;
  }
  return best;
}

Json read_value(const Field& field, const Tree& tree, const std::string& path) {
  if (!field.absent.empty()) {
    if (tree.kind == Tree::Kind::null) return nullptr;
    if (tree.kind == Tree::Kind::scalar && tree.text == field.absent && field.absent != "null") return nullptr;
  }
  switch (field.type) {
    case Type::integer:
      return read_integer(field, tree, path);
    case Type::number:
      return read_number(field, tree, path);
    case Type::boolean:
      return read_boolean(field, tree, path);
    case Type::word:
      return read_word(field, tree, path);
    case Type::string:
      return read_string(field, tree, path);
    case Type::list:
      return read_list(field, tree, path);
    case Type::map:
      return read_map(field, tree, path);
    case Type::axis:
      return read_axis(field, tree, path);
    case Type::scalar:
      break;
  }
  if (tree.kind != Tree::Kind::scalar || tree.text.empty()) fail_type(field, tree, path, "a word or a number");
  return tree.text;
}

}  // namespace kvproof::config
