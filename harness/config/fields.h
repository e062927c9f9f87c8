// The table of every key a config may hold: the reader, the JSON Schema and "did you mean" all come from it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/config/tree.h"

namespace kvproof::config {

using Json = nlohmann::ordered_json;  // keys stay in the order in which they were written

enum class Type {
  integer,  // 1; never 1.0, "1" or 010
  number,   // 0.8
  boolean,  // true, false, on, off
  word,     // one of words
  string,   // never empty; what looks like a number must be in quotes
  scalar,   // any of them, kept as text: the engine decides
  list,     // of children[0]
  map,      // of children, by name; nothing else
  axis,     // of a sweep: a list of children[0], or a range of integers such as 64-1024*2
};

struct Field {
  std::string name{};
  Type type = Type::map;
  std::string doc{};
  int64_t low = 0, high = 0;            // integer, number: both included
  std::vector<std::string> words{};     // word
  std::string absent{};                 // the word that stands for "not given", beside null; empty: a value is needed
  Json fallback{};                      // the value where the key is missing; null: none
  std::vector<Field> children{};        // list, map, axis
  std::vector<std::string> required{};  // map: keys that must be there
  std::vector<std::string> exactly_one{};  // map: of these keys one must be there, and no other
  std::string instead{};                   // map: the key that may stand there without any of these, or beside one
  bool may_be_empty = false;               // list
  std::string shared{};                    // the schema's name for it, where it occurs more than once
};

/// The whole file.
const Field& config_field();

/// A setting by its dotted name ("sampler.top_k"); nullptr where there is none.
const Field* find_setting(const std::string& dotted);

/// Checks a value against a field, all the way down, and returns it as JSON: only keys that were given; integers, numbers,
/// words and text as themselves; null for an absent optional value; an axis as the list of its values.
/// throws ConfigError at the value's place, or at the key's where the key is the fault
Json read_value(const Field& field, const Tree& tree, const std::string& path);

/// The known word that was probably meant: equal but for case and dashes, a part of it, or few edits
/// away. Empty: none.
std::string did_you_mean(const std::string& wrong, const std::vector<std::string>& known);

/// The names of a map's keys.
std::vector<std::string> names_of(const std::vector<Field>& fields);

/// A value of a setting in a case's id: 0.8, float32, auto.
std::string spell(const Field& field, const Json& value);

}  // namespace kvproof::config
