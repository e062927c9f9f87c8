#include "engine/checkpoint/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/checkpoint/huggingface.h"
#include "engine/checkpoint/json_text.h"
#include "engine/checkpoint/mapped_file.h"
#include "engine/checkpoint/safetensors.h"
#include "engine/checkpoint/text.h"
#include "engine/error.h"

namespace kvproof {
namespace {

using nlohmann::json;

class MetaReader {
 public:
  explicit MetaReader(std::string place) : place_(std::move(place)) {}

  ModelDims dims(const json& meta, std::vector<std::string>& unknown) const {
    if (!meta.is_object() || !meta.contains("model_config"))
      fail("model_config", "is missing; is this a meta_*.json of nanochat?");
    const json& config = meta["model_config"];
    if (!config.is_object()) fail("model_config", fmt::format("expected an object, found {}", config.type_name()));
    ModelDims dims;
    const std::array<std::pair<const char*, int64_t*>, 6> fields = {{{"sequence_len", &dims.sequence_len},
                                                                     {"vocab_size", &dims.vocab_size},
                                                                     {"n_layer", &dims.n_layer},
                                                                     {"n_head", &dims.n_head},
                                                                     {"n_kv_head", &dims.n_kv_head},
                                                                     {"n_embd", &dims.n_embd}}};
    for (const auto& [key, value] : fields) *value = integer(config, key);
    if (const auto pattern = config.find("window_pattern"); pattern != config.end() && !pattern->is_null()) {
      if (!pattern->is_string())
        fail("model_config.window_pattern", fmt::format("expected a string, found {}", pattern->type_name()));
      dims.window_pattern = pattern->get<std::string>();
    }
    for (const auto& [key, value] : config.items()) {
      const auto is_key = [&k = key](const auto& field) { return k == field.first; };
      if (key != "window_pattern" && std::none_of(fields.begin(), fields.end(), is_key)) unknown.push_back(key);
    }
    return dims;
  }

  std::optional<double> val_bpb(const json& meta) const {
    const auto found = meta.find("val_bpb");
    if (found == meta.end() || found->is_null()) return std::nullopt;
    if (!found->is_number()) fail("val_bpb", fmt::format("expected a number or null, found {}", found->type_name()));
    return found->get<double>();
  }

 private:
  [[noreturn]] void fail(const std::string& key, const std::string& message) const {
    throw CheckpointError(place_, key + ": " + message);
  }

  int64_t integer(const json& config, const std::string& key) const {
    const auto found = config.find(key);
    if (found == config.end()) fail("model_config." + key, "is missing; copy the meta file again or add the key");
    if (!found->is_number_integer())
      fail("model_config." + key,
           fmt::format("expected an integer, found {}",
                       found->dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 40)));
    if (found->is_number_unsigned() &&
        found->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      fail("model_config." + key, fmt::format("expected an integer of 64 bits, found {}", found->dump()));
    }
    return found->get<int64_t>();
  }

  std::string place_;
};

// What the meta file says. Returns the keys of model_config that nothing here reads.
std::vector<std::string> read_meta(std::string_view text, const std::string& place, Checkpoint* checkpoint) {
  checkpoint->meta_json = text;
  const MetaReader reader(place);
  const json meta = parse_json(text, place);
  std::vector<std::string> unknown;
  checkpoint->dims = reader.dims(meta, unknown);
  check_dims(checkpoint->dims, place);
  checkpoint->val_bpb = reader.val_bpb(meta);
  return unknown;
}

void classify(const std::string& place, const ArchitectureOverrides& overrides, const std::vector<std::string>& unknown,
              Checkpoint* checkpoint) {
  checkpoint->architecture =
      infer_architecture(checkpoint->dims, checkpoint->tensors, place, overrides, &checkpoint->inference);
  if (!unknown.empty()) {
    checkpoint->inference.ambiguities.push_back(fmt::format(
        "model_config has keys that nanochat did not have and that are ignored here: {}; if one matters, say so with "
        "--arch",
        listed(unknown, 8)));
  }
}

// Where each constant came from: what config.json states, what the flags replaced, and what transformers' code fixes.
std::vector<std::string> origins_of(const Architecture& a, const HuggingFaceConfig& config,
                                    const ArchitectureOverrides& overrides) {
  const std::vector<std::pair<std::string, std::string>> constants = {
      {"rope_base", fmt::format("{}", a.rope_base)},
      {"softcap", a.softcap == 0 ? "none" : fmt::format("{}", a.softcap)},
      {"norm_eps", fmt::format("{}", a.norm_eps)},
      {"rope_table_dtype", a.rope_table_dtype},
      {"qk_scale", fmt::format("{}", a.qk_scale)},
      {"window_pattern", a.window_pattern.empty() ? "none" : a.window_pattern}};
  std::vector<std::string> lines;
  for (const auto& [key, value] : constants) {
    const auto stated = config.origins.find(key);
    const auto origin = overrides.count(key)             ? "--arch " + key
                        : stated != config.origins.end() ? "config.json, " + stated->second
                        : overrides.count("generation")  ? "--arch generation"
                                                         : std::string("fixed in transformers' code");
    lines.push_back(fmt::format("{} {}: {}", key, value, origin));
  }
  return lines;
}

// All of a checkpoint but its location, which is known.
void read_huggingface(const ArchitectureOverrides& overrides, Checkpoint* checkpoint) {
  const auto& location = checkpoint->location;
  const std::string place = location.meta_file.string();
  checkpoint->name = std::filesystem::absolute(location.meta_file).lexically_normal().parent_path().filename().string();
  checkpoint->meta_json = MappedFile::open(location.meta_file)->bytes();
  const HuggingFaceConfig config = read_huggingface_config(checkpoint->meta_json, place);
  checkpoint->dims = config.dims;
  checkpoint->stated = config.stated;
  const StateDict tensors = location.is_sharded() ? load_sharded_safetensors(location.model_file)
                                                  : load_safetensors(location.model_file);
  checkpoint->tensors = with_nanochat_names(tensors, config, location.model_file.string());
  checkpoint->architecture = huggingface_architecture(config.dims, checkpoint->tensors, location.model_file.string(),
                                                      config.stated, overrides);
  checkpoint->inference.reason = overrides.count("generation") ? "named by architecture.generation"
                                                               : "config.json: model_type nanochat of transformers";
  checkpoint->inference.origins = origins_of(checkpoint->architecture, config, overrides);
  if (!config.not_read.empty()) {
    checkpoint->inference.ambiguities.push_back(
        fmt::format("config.json has fields that transformers' NanoChat did not have and that are ignored here: {}; if "
                    "one matters, say so with --arch",
                    listed(config.not_read, 8)));
  }
}

}  // namespace

Checkpoint load_checkpoint(const CheckpointRequest& request, const ArchitectureOverrides& overrides) {
  Checkpoint checkpoint;
  checkpoint.location = locate_checkpoint(request);
  const auto& location = checkpoint.location;
  if (location.layout == CheckpointLayout::huggingface) {
    read_huggingface(overrides, &checkpoint);
    return checkpoint;
  }
  checkpoint.name = fmt::format("{}/{} step {}", location.source, location.tag, location.step);

  const auto unknown =
      read_meta(MappedFile::open(location.meta_file)->bytes(), location.meta_file.string(), &checkpoint);
  checkpoint.tensors = load_state_dict(location.model_file);
  classify(location.model_file.string(), overrides, unknown, &checkpoint);
  return checkpoint;
}

Checkpoint load_checkpoint_bytes(const CheckpointBytes& bytes, const ArchitectureOverrides& overrides) {
  Checkpoint checkpoint;
  checkpoint.name = bytes.name;
  const auto unknown = read_meta(bytes.meta, bytes.name + ": meta", &checkpoint);
  const std::string place = bytes.name + ": model";
  checkpoint.tensors = load_state_dict(MappedFile::of_static(bytes.model), place);
  classify(place, overrides, unknown, &checkpoint);
  return checkpoint;
}

}  // namespace kvproof
