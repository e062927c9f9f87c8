// load_config: file, --set and defaults become checkpoints, prompts and cases.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "harness/config/config.h"
#include "harness/config/entries.h"
#include "harness/config/resolved.h"
#include "harness/config/settings.h"
#include "harness/config/sweep.h"
#include "harness/config/tree.h"

namespace kvproof {
namespace config {
namespace {

constexpr std::size_t kMostCases = 10'000;
/// Whoever types --set for a key expects it to be used; a sweep of the same key would take it over in silence.
void check_not_swept(const Tree& root, const std::vector<Axis>& axes) {
  const auto check = [&](const Tree* value, const std::string& key) {
    if (!value || !value->place.starts_with("--set ")) return;
    const Tree* swept = root.find({"sweep", key});
    if (swept->key_place.starts_with("--set ")) return;  // both typed: the sweep is meant
    fail(value->place, "",
         fmt::format("{0} is swept at {1}; give its values instead: --set 'sweep.{0}=[…]'", key, swept->key_place));
  };
  for (const Axis& axis : axes) {
    for (const std::string& key : axis.keys) {
      const std::size_t dot = key.find('.');
      const std::string section = key.substr(0, dot), name = key.substr(dot + 1);
      if (section != "prompt") check(root.find({section, name}), key);
      for (std::size_t i = 0; i < root.find({"prompts"})->children.size(); ++i) {
        check(root.find({"prompts", std::to_string(i), section == "prompt" ? "synthetic" : section, name}), key);
      }
    }
  }
}

/// Of a key of kPromptKeys.
void check_prompt_sweep(const std::string& key, const Tree& root, const std::vector<PromptSpec>& prompts) {
  const Tree& swept = *root.find({"sweep", key});
  for (const PromptSpec& prompt : prompts) {
    if (prompt.kind == PromptKind::synthetic) continue;
    fail(swept.key_place, "sweep." + key,
         fmt::format("only synthetic prompts have a {} to sweep, and \"{}\" at {} is none; give it a config of its own",
                     key.substr(key.find('.') + 1), prompt.name, prompt.place));
  }
}

/// How many cases there are. throws ConfigError where they are too many
std::size_t count_cases(const Config& config, const std::vector<Axis>& axes, const Tree& root) {
  std::size_t count = config.checkpoints.size() * config.prompts.size();
  for (const Axis& axis : axes) count = std::min(count * axis.points.size(), kMostCases * kMostCases);  // no overflow
  if (count <= kMostCases) return count;
  const Tree* sweep = root.find({"sweep"});
  fail(sweep ? sweep->place : root.place, sweep ? "sweep" : "",
       count == kMostCases * kMostCases
           ? fmt::format("far more than {} cases; sweep less in one file", kMostCases)
           : fmt::format("{} cases, {} at most; sweep less in one file", count, kMostCases));
}

template <class T>
void take(const Json& section, const char* key, T& to) {
  if (section.contains(key)) to = section[key].get<T>();
}

void read_gate(Config& config, const Json& given) {
  const Json compare = given.value("compare", Json::object()), ci = given.value("ci", Json::object());
  take(compare, "blocks", config.compare.blocks);
  take(compare, "rounds", config.compare.rounds);
  take(compare, "epoch_ms", config.compare.epoch_ms);
  take(compare, "warm_up_ms", config.compare.warm_up_ms);
  take(compare, "time", config.compare.time);
  take(ci, "fail_on", config.ci.fail_on);
  take(ci, "accept", config.ci.accept);
  if (ci.contains("baseline")) {
    const std::string name = ci["baseline"];
    const bool is_path = name.find('/') != std::string::npos || name.ends_with(".json");
    config.ci.baseline = is_path ? (config.file.parent_path() / name).lexically_normal().string() : name;
  }
  take(ci, "floors", config.ci.floors);
}

/// Turns checkpoints × prompts × axes into cases; a swept key of kPromptKeys makes a prompt of its own.
class Expansion {
 public:
  Expansion(LoadedConfig& loaded, const std::vector<Axis>& axes, const std::vector<Settings>& prompt_settings)
      : loaded_(loaded), axes_(axes), settings_(prompt_settings), written_(loaded.config.prompts) {
    const auto swept = [&](const PromptKey& one) { return is_swept(axes, one.key); };
    if (std::any_of(std::begin(kPromptKeys), std::end(kPromptKeys), swept)) loaded_.config.prompts.clear();
  }

  void run() {
    for (std::size_t c = 0; c < loaded_.config.checkpoints.size(); ++c) {
      for (std::size_t p = 0; p < written_.size(); ++p) {
        std::vector<std::size_t> at(axes_.size(), 0);
        do add_case(c, p, at);
        while (advance(at));
      }
    }
  }

 private:
  /// Counts up, the last axis fastest; false after the last point.
  bool advance(std::vector<std::size_t>& at) const {
    for (std::size_t a = axes_.size(); a-- > 0;) {
      if (++at[a] < axes_[a].points.size()) return true;
      at[a] = 0;
    }
    return false;
  }

  void add_case(std::size_t c, std::size_t p, const std::vector<std::size_t>& at) {
    Settings settings = settings_[p];
    std::string id = loaded_.config.checkpoints[c].name + "/" + written_[p].name;
    PromptSpec prompt = written_[p];
    for (std::size_t a = 0; a < axes_.size(); ++a) {
      for (std::size_t k = 0; k < axes_[a].keys.size(); ++k) {
        const std::string& key = axes_[a].keys[k];
        const Json& value = axes_[a].points[at[a]][k];
        if (const PromptKey* of_prompt = find_prompt_key(key)) {
          of_prompt->set(prompt, value);
          prompt.name += "/" + key + "=" + value.dump();
          id += "/" + key + "=" + value.dump();
        } else {
          store(settings, key, value);
          id += "/" + key + "=" + spell(*find_setting(key), value);
        }
      }
    }
    loaded_.cases.push_back({std::move(id), c, place_of(std::move(prompt)), settings.sampler, settings.run, settings.naive});
  }

  /// Where the config holds the prompt; a swept one is put there when it is first met. Names are unique.
  std::size_t place_of(PromptSpec prompt) {
    std::vector<PromptSpec>& prompts = loaded_.config.prompts;
    const auto same = [&](const PromptSpec& one) { return one.name == prompt.name; };
    const auto found = std::find_if(prompts.begin(), prompts.end(), same);
    if (found != prompts.end()) return static_cast<std::size_t>(found - prompts.begin());
    prompts.push_back(std::move(prompt));
    return prompts.size() - 1;
  }

  LoadedConfig& loaded_;
  const std::vector<Axis>& axes_;
  const std::vector<Settings>& settings_;
  const std::vector<PromptSpec> written_;
};

}  // namespace
}  // namespace config

LoadedConfig load_config(const std::filesystem::path& file, const std::vector<std::string>& sets) {
  config::Tree root = config::read_tree(file);
  for (const std::string& set : sets) config::apply_set(root, set);
  const config::Json given = config::read_value(config::config_field(), root, "");

  const auto axes = config::sweep_axes(given.contains("sweep") ? given["sweep"] : config::Json(), root);
  const bool length_is_swept = config::is_swept(axes, "prompt.length");
  config::check_not_swept(root, axes);

  LoadedConfig loaded;
  loaded.config.file = file;
  config::read_entries(loaded.config, given, root, length_is_swept);
  for (const config::PromptKey& one : config::kPromptKeys) {
    if (config::is_swept(axes, one.key)) config::check_prompt_sweep(one.key, root, loaded.config.prompts);
  }

  config::Settings defaults;
  config::overlay(defaults, given);
  std::tie(loaded.config.sampler, loaded.config.run, loaded.config.naive) =
      std::tie(defaults.sampler, defaults.run, defaults.naive);
  config::read_gate(loaded.config, given);
  std::vector<config::Settings> prompt_settings(loaded.config.prompts.size(), defaults);
  for (std::size_t p = 0; p < prompt_settings.size(); ++p) config::overlay(prompt_settings[p], given["prompts"][p]);

  loaded.cases.reserve(config::count_cases(loaded.config, axes, root));
  loaded.resolved_json = config::resolved_json(given, loaded.config, prompt_settings, axes);
  loaded.hash = config::fnv1a_hex(loaded.resolved_json);
  config::Expansion(loaded, axes, prompt_settings).run();
  return loaded;
}

}  // namespace kvproof
