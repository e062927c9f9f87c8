#include "harness/config/resolved.h"

#include <fmt/format.h>

#include <filesystem>

namespace kvproof::config {
namespace {

std::string without_machine(const std::string& written) {
  std::filesystem::path path = written;
  if (!path.is_absolute()) return written;
  if (!path.has_filename()) path = path.parent_path();
  return "(absolute)/" + path.filename().string();
}

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json checkpoint_json(const Json& given, const CheckpointSpec& spec) {
  Json json = {{"name", spec.name}};
  if (spec.subject) {
    json["subject"] = *spec.subject;
    json["reference"] = spec.reference.value_or(spec.has_checkpoint() ? "both" : "own");
  }
  if (!spec.has_checkpoint()) return json;
  if (spec.synthetic) {
    json["synthetic"] = *spec.synthetic;
  } else {
    json["base_dir"] = without_machine(given["base_dir"]);
    json["source"] = or_null(spec.source);
    json["tag"] = or_null(spec.tag);
    json["step"] = or_null(spec.step);
  }
  json["architecture"] = spec.architecture;
  return json;
}

Json prompt_json(const Json& given, const PromptSpec& spec, const std::vector<Axis>& axes) {
  Json json = {{"name", spec.name}};
  switch (spec.kind) {
    case PromptKind::chat:
      json["chat"] = spec.text;
      break;
    case PromptKind::text:
      json["text"] = spec.text;
      break;
    case PromptKind::tokens:
      json["tokens"] = spec.tokens;
      break;
    case PromptKind::file:
      json["file"] = without_machine(given["file"]);
      break;
    case PromptKind::synthetic:
      if (!is_swept(axes, "prompt.length")) json["synthetic"]["length"] = spec.length;
      if (spec.depth > 0 && !is_swept(axes, "prompt.depth")) json["synthetic"]["depth"] = spec.depth;
      if (!is_swept(axes, "prompt.seed")) json["synthetic"]["seed"] = spec.seed;
      break;
  }
  return json;
}

Json axis_json(const Axis& axis) {
  Json points = Json::array();
  for (const std::vector<Json>& point : axis.points) {
    Json& values = points.emplace_back(Json::object());
    for (std::size_t k = 0; k < axis.keys.size(); ++k) values[axis.keys[k]] = point[k];
  }
  return points;
}

}  // namespace

std::string resolved_json(const Json& given, const Config& config, const std::vector<Settings>& prompt_settings,
                          const std::vector<Axis>& axes) {
  Json resolved = {{"checkpoints", Json::array()}, {"prompts", Json::array()}, {"sweep", Json::array()}};
  for (std::size_t i = 0; i < config.checkpoints.size(); ++i) {
    resolved["checkpoints"].push_back(checkpoint_json(given["checkpoints"][i], config.checkpoints[i]));
  }
  for (std::size_t i = 0; i < config.prompts.size(); ++i) {
    Json prompt = prompt_json(given["prompts"][i], config.prompts[i], axes);
    for_each_setting(prompt_settings[i], [&](const std::string& key, const auto&) {
      const std::size_t dot = key.find('.');
      if (!is_swept(axes, key)) prompt[key.substr(0, dot)][key.substr(dot + 1)] = to_json(prompt_settings[i], key);
    });
    resolved["prompts"].push_back(std::move(prompt));
  }
  for (const Axis& axis : axes) resolved["sweep"].push_back(axis_json(axis));
  return resolved.dump();
}

std::string fnv1a_hex(const std::string& bytes) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return fmt::format("{:016x}", hash);
}

}  // namespace kvproof::config
