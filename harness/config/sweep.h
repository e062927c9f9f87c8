// A sweep as axes: what takes turns, and what advances together.
#pragma once

#include <string>
#include <vector>

#include "harness/config/config.h"
#include "harness/config/fields.h"
#include "harness/config/tree.h"

namespace kvproof::config {

/// One dimension of the grid: a swept key, or the keys of a zip group.
struct Axis {
  std::vector<std::string> keys;          // "run.dtype", "prompt.length"
  std::vector<std::vector<Json>> points;  // for each point, one value a key
};

/// The axes in the order of the file (a group stands where its first key stands); the first varies slowest.
///
/// sweep  what read_value made of the section; null or absent: none
/// root   the tree it came from, for places
/// throws ConfigError: a zip group of one key, of keys that are not swept or are in two groups, of unequal lengths; a point
///        that occurs twice
std::vector<Axis> sweep_axes(const Json& sweep, const Tree& root);

/// Whether one of the axes holds a key.
bool is_swept(const std::vector<Axis>& axes, const std::string& key);

/// A key that a sweep sets in synthetic prompts, which are then prompts of their own.
struct PromptKey {
  const char* key;
  void (*set)(PromptSpec& prompt, const Json& value);
};

inline constexpr PromptKey kPromptKeys[] = {
    {"prompt.length", [](PromptSpec& prompt, const Json& value) { prompt.length = value; }},
    {"prompt.depth", [](PromptSpec& prompt, const Json& value) { prompt.depth = value; }},
    {"prompt.seed", [](PromptSpec& prompt, const Json& value) { prompt.seed = value; }},
};

/// Null: it is none.
const PromptKey* find_prompt_key(const std::string& key);

}  // namespace kvproof::config
