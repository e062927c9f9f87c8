#include "engine/checkpoint/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/checkpoint/mapped_file.h"
#include "engine/checkpoint/text.h"
#include "engine/error.h"

namespace kvproof {
namespace {

using nlohmann::json;

// Python's json writes NaN, Infinity and -Infinity, which JSON does not have. Each becomes null, outside of strings.
struct StrictJson {
  std::string text;
  std::vector<size_t> grown;  // where `text` gained a byte: NaN is shorter than null
};

StrictJson without_infinities(std::string_view text) {
  static constexpr std::array<std::string_view, 3> kWords = {"-Infinity", "Infinity", "NaN"};
  StrictJson out;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto rest = text.substr(i);
    const auto word = std::find_if(kWords.begin(), kWords.end(), [&](auto w) { return rest.substr(0, w.size()) == w; });
    if (!in_string && word != kWords.end()) {
      out.text += "null";
      if (word->size() < 4) out.grown.push_back(out.text.size());
      out.text.append(word->size() > 4 ? word->size() - 4 : 0, ' ');  // later bytes keep their offsets
      i += word->size() - 1;
      continue;
    }
    if (in_string && text[i] == '\\' && i + 1 < text.size())
      out.text += text[i++];
    else if (text[i] == '"')
      in_string = !in_string;
    out.text += text[i];
  }
  return out;
}

class MetaReader {
 public:
  explicit MetaReader(std::string place) : place_(std::move(place)) {}

  json parse(std::string_view text) const {
    const auto strict = without_infinities(text);
    try {
      return json::parse(strict.text);
    } catch (const json::parse_error& error) {
      size_t at = std::min(error.byte > 0 ? error.byte - 1 : 0, strict.text.size());  // nlohmann counts from one
      at -= static_cast<size_t>(
          std::count_if(strict.grown.begin(), strict.grown.end(), [&](size_t g) { return g <= at; }));
      const auto before = text.substr(0, at);
      const auto line = std::count(before.begin(), before.end(), '\n') + 1;
      const auto column = at - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
      const auto found = at < text.size() ? quote(text.substr(at, 1)) : std::string("the end of the file");
      throw CheckpointError(fmt::format("{}:{}:{}", place_, line, column),
                            fmt::format("not valid JSON: unexpected {}; copy the file again", found));
    } catch (const json::exception& error) {  // numbers out of range
      throw CheckpointError(place_, fmt::format("not valid JSON: {}", error.what()));
    }
  }

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
  const json meta = reader.parse(checkpoint->meta_json);
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

}  // namespace

Checkpoint load_checkpoint(const CheckpointRequest& request, const ArchitectureOverrides& overrides) {
  Checkpoint checkpoint;
  checkpoint.location = locate_checkpoint(request);
  const auto& location = checkpoint.location;
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
