#include "harness/config/entries.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <optional>
#include <utility>

namespace kvproof::config {
namespace {

constexpr std::size_t kLongestName = 64;
constexpr std::array kPromptKinds = {std::pair{"chat", PromptKind::chat}, std::pair{"text", PromptKind::text},
                                     std::pair{"tokens", PromptKind::tokens}, std::pair{"file", PromptKind::file},
                                     std::pair{"synthetic", PromptKind::synthetic}};

bool name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '+' || c == '-';
}

/// Gives every entry a name: its own, checked, or one made from what suggest says, with a number where that is taken.
template <class Spec, class Suggest>
void name_all(std::vector<Spec>& specs, const std::string& section, const Tree& root, Suggest&& suggest) {
  std::map<std::string, std::string> places;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const std::string& name = specs[i].name;
    if (name.empty()) continue;
    const std::string index = std::to_string(i), path = section + "." + index + ".name";
    const std::string& place = root.find({section, index, "name"})->place;
    if (name.size() > kLongestName || !std::all_of(name.begin(), name.end(), name_char)) {
      fail(place, path,
           fmt::format("must be letters, digits, \".\", \"_\", \"+\" or \"-\", {} at most; got {}", kLongestName,
                       describe(*root.find({section, index, "name"}))));
    }
    const auto [first, is_new] = places.emplace(name, place);
    if (!is_new) fail(place, path, fmt::format("\"{}\" is there twice, first at {}", name, first->second));
  }
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (!specs[i].name.empty()) continue;
    std::string base = suggest(specs[i], i).substr(0, kLongestName);
    std::replace_if(
        base.begin(), base.end(), [](char c) { return !name_char(c); }, '-');
    specs[i].name = base;
    for (int n = 2; !places.emplace(specs[i].name, specs[i].place).second; ++n)
      specs[i].name = fmt::format("{}-{}", base, n);
  }
}

/// A path as written, from the config's folder, or from the home folder where it begins with "~/".
std::filesystem::path resolve_path(const std::string& written, const std::filesystem::path& config_file) {
  const char* home = std::getenv("HOME");
  std::filesystem::path path = written;
  if (written.starts_with("~/") && home && *home) path = std::filesystem::path(home) / written.substr(2);
  return (std::filesystem::absolute(config_file).parent_path() / path).lexically_normal();
}

template <class T>
std::optional<T> optional_of(const Json& map, const char* key) {
  return map.contains(key) && !map[key].is_null() ? std::optional(map[key].get<T>()) : std::nullopt;
}

void check_reference(const CheckpointSpec& spec, const Tree& tree, const std::string& path) {
  const Tree* child = tree.find({"reference"});
  if (!child) return;
  if (!spec.subject) fail(child->key_place, join(path, "reference"), "is for a subject, and none is given");
  if (!spec.has_checkpoint() && spec.reference != "own")
    fail(child->place, join(path, "reference"),
         fmt::format("{} needs the checkpoint that the subject runs; add base_dir", *spec.reference));
}

CheckpointSpec checkpoint_of(const Json& given, const Tree& tree, const std::string& path,
                             const std::filesystem::path& file) {
  CheckpointSpec spec;
  spec.name = given.value("name", "");
  spec.place = tree.place;
  spec.subject = optional_of<std::string>(given, "subject");
  spec.reference = optional_of<std::string>(given, "reference");
  spec.synthetic = optional_of<std::string>(given, "synthetic");
  spec.source = optional_of<std::string>(given, "source");
  spec.tag = optional_of<std::string>(given, "tag");
  spec.step = optional_of<int64_t>(given, "step");
  if (spec.synthetic) {
    for (const char* key : {"source", "tag", "step"}) {
      if (const Tree* child = tree.find({key})) {
        fail(child->key_place, join(path, key), "a synthetic checkpoint has none; remove it, or give base_dir instead");
      }
    }
  } else if (given.contains("base_dir")) {
    spec.base_dir = resolve_path(given["base_dir"], file);
  } else {  // a subject alone
    for (const char* key : {"source", "tag", "step", "architecture"}) {
      if (const Tree* child = tree.find({key}))
        fail(child->key_place, join(path, key), "is of a checkpoint, and only a subject is given; add base_dir");
    }
  }
  check_reference(spec, tree, path);
  if (given.contains("architecture")) {
    for (const auto& [key, value] : given["architecture"].items()) spec.architecture[key] = value;
  }
  return spec;
}

PromptSpec prompt_of(const Json& given, const Tree& tree, const std::string& path, bool length_is_swept,
                     const std::filesystem::path& file) {
  PromptSpec spec;
  spec.name = given.value("name", "");
  spec.place = tree.place;
  for (const auto& [key, kind] : kPromptKinds) {
    if (given.contains(key)) spec.kind = kind;
  }
  if (spec.kind == PromptKind::chat) spec.text = given["chat"];
  if (spec.kind == PromptKind::text) spec.text = given["text"];
  if (spec.kind == PromptKind::file) spec.text = resolve_path(given["file"], file).string();
  if (spec.kind == PromptKind::tokens) spec.tokens = given["tokens"].get<std::vector<int32_t>>();
  if (spec.kind == PromptKind::synthetic) {
    const Json& synthetic = given["synthetic"];
    spec.seed = synthetic.value("seed", spec.seed);
    spec.length = synthetic.value("length", int64_t{0});
    spec.depth = synthetic.value("depth", int64_t{0});
    if (spec.length == 0 && !length_is_swept) {
      fail(tree.find({"synthetic"})->place, join(path, "synthetic"), "length is missing, as in {length: 512}");
    }
  }
  return spec;
}

}  // namespace

void read_entries(Config& config, const Json& given, const Tree& root, bool length_is_swept) {
  for (std::size_t i = 0; i < given["checkpoints"].size(); ++i) {
    const std::string index = std::to_string(i);
    config.checkpoints.push_back(checkpoint_of(given["checkpoints"][i], *root.find({"checkpoints", index}),
                                               "checkpoints." + index, config.file));
  }
  for (std::size_t i = 0; i < given["prompts"].size(); ++i) {
    const std::string index = std::to_string(i);
    config.prompts.push_back(prompt_of(given["prompts"][i], *root.find({"prompts", index}), "prompts." + index,
                                       length_is_swept, config.file));
  }
  name_all(config.checkpoints, "checkpoints", root, [&](const CheckpointSpec& spec, std::size_t i) {
    if (spec.synthetic) return spec.synthetic->substr(0, spec.synthetic->find(','));
    if (!spec.has_checkpoint()) return fmt::format("subject{}", i + 1);
    // The folder's name as written: what "." and ".." stand for differs from machine to machine.
    std::filesystem::path written = given["checkpoints"][i]["base_dir"].get<std::string>();
    if (!written.has_filename()) written = written.parent_path();
    const std::string folder = written.filename().string();
    return folder.empty() || folder == "." || folder == ".." ? fmt::format("checkpoint{}", i + 1) : folder;
  });
  name_all(config.prompts, "prompts", root, [&](const PromptSpec& spec, std::size_t i) {
    return fmt::format("{}{}", kPromptKinds[static_cast<std::size_t>(spec.kind)].first, i + 1);
  });
}

}  // namespace kvproof::config
