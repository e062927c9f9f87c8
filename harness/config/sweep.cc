#include "harness/config/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace kvproof::config {
namespace {

/// What advances together: the zip groups, and their trees.
struct Group {
  std::vector<std::string> keys;
  const Tree* tree;
  std::string path;
};

std::vector<Group> zip_groups(const Json& sweep, const Tree& root) {
  std::vector<Group> groups;
  if (!sweep.contains("zip")) return groups;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < sweep["zip"].size(); ++i) {
    const std::string index = std::to_string(i);
    Group group{sweep["zip"][i].get<std::vector<std::string>>(), root.find({"sweep", "zip", index}),
                "sweep.zip." + index};
    if (group.keys.size() < 2) fail(group.tree->place, group.path, "a group needs two keys at least");
    const std::string& first = group.keys[0];
    for (const std::string& key : group.keys) {
      if (!sweep.contains(key))
        fail(group.tree->place, group.path, fmt::format("{0} is not swept; add sweep: {{{0}: […]}}", key));
      if (!seen.insert(key).second) fail(group.tree->place, group.path, fmt::format("{} is in zip twice", key));
      if (sweep[key].size() != sweep[first].size()) {
        fail(group.tree->place, group.path,
             fmt::format("{} has {} values and {} has {}; keys that advance together need equally many", first,
                         sweep[first].size(), key, sweep[key].size()));
      }
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

/// How a swept value is written: as the setting's words, or as the number it is.
std::string spell_swept(const std::string& key, const Json& value) {
  const Field* setting = find_setting(key);
  return setting ? spell(*setting, value) : value.dump();
}

void check_distinct(const Axis& axis, const std::string& place, const std::string& path) {
  std::set<std::string> seen;
  for (const std::vector<Json>& point : axis.points) {
    std::string text;
    for (std::size_t k = 0; k < point.size(); ++k) text += (k ? ", " : "") + spell_swept(axis.keys[k], point[k]);
    if (!seen.insert(text).second) fail(place, path, text + " is there twice");
  }
}

}  // namespace

std::vector<Axis> sweep_axes(const Json& sweep, const Tree& root) {
  std::vector<Axis> axes;
  if (!sweep.is_object()) return axes;
  const std::vector<Group> groups = zip_groups(sweep, root);
  std::set<std::string> done;
  for (const auto& [key, values] : sweep.items()) {
    if (key == "zip" || done.contains(key)) continue;
    Axis axis{{key}, {}};
    const Tree* tree = root.find({"sweep", key});
    std::string path = "sweep." + key;
    for (const Group& group : groups) {
      if (std::find(group.keys.begin(), group.keys.end(), key) == group.keys.end()) continue;
      axis.keys = group.keys;
      tree = group.tree;
      path = group.path;
    }
    done.insert(axis.keys.begin(), axis.keys.end());
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::vector<Json>& point = axis.points.emplace_back();
      for (const std::string& name : axis.keys) point.push_back(sweep[name][i]);
    }
    check_distinct(axis, tree->place, path);
    axes.push_back(std::move(axis));
  }
  return axes;
}

bool is_swept(const std::vector<Axis>& axes, const std::string& key) {
  return std::any_of(axes.begin(), axes.end(), [&](const Axis& axis) {
    return std::find(axis.keys.begin(), axis.keys.end(), key) != axis.keys.end();
  });
}

const PromptKey* find_prompt_key(const std::string& key) {
  for (const PromptKey& one : kPromptKeys)
    if (key == one.key) return &one;
  return nullptr;
}

}  // namespace kvproof::config
