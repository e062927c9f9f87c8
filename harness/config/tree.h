// YAML as a tree in which every value knows where it stands, so that every complaint can name its place.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace kvproof::config {

struct Tree {
  enum class Kind { null, scalar, list, map };

  Kind kind = Kind::null;
  std::string place;           // of the value: "file:line:column", or "--set a.b"
  std::string text;            // of a scalar
  bool quoted = false;         // a scalar in quotes or a block: a string, whatever it looks like
  std::string key, key_place;  // of an entry of a map
  std::vector<Tree> children;  // entries of a map, items of a list, in order

  /// The entry of a map or the item of a list ("0", "1", …) at the end of keys; nullptr where there is none.
  const Tree* find(const std::vector<std::string>& keys) const;
};

/// Reads one YAML document. Places name the file as it was given.
/// throws ConfigError: unreadable, empty, not UTF-8, not YAML, a key twice, more than one document, too deep or too large
Tree read_tree(const std::filesystem::path& file);

/// Applies one "a.b=value" of --set: value is YAML, a number in the path is an index into a list, and after "sweep." the
/// rest of the path is one key. A setting (sampler, run, naive) is also taken out of the prompts that have their own, so
/// that the newest word wins. throws ConfigError with the place "--set a.b"
void apply_set(Tree& root, const std::string& assignment);

/// Throws ConfigError(place, "path: why"), without the path where the place says it already.
[[noreturn]] void fail(const std::string& place, const std::string& path, const std::string& why);

/// "a.b" out of "a" and "b".
std::string join(const std::string& path, const std::string& key);

/// A value in a message: its text, cut where it is long, or "a list".
std::string describe(const Tree& tree);

}  // namespace kvproof::config
