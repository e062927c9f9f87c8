#include "engine/checkpoint/huggingface.h"

#include <ATen/ops/equal.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/checkpoint/json_text.h"
#include "engine/checkpoint/text.h"
#include "engine/error.h"

namespace kvproof {
namespace {

using nlohmann::json;

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";

// Fields that say nothing about what a forward computes.
constexpr std::array<const char*, 12> kNoMatter = {
    "_name_or_path", "architectures", "attention_dropout",    "bos_token_id",
    "dtype",         "eos_token_id",  "pad_token_id",         "initializer_range",
    "torch_dtype",   "use_cache",     "transformers_version", "model_type"};

class ConfigReader {
 public:
  ConfigReader(std::string_view text, const std::string& place) : place_(place), root_(parse_json(text, place)) {
    if (!root_.is_object())
      throw CheckpointError(place_, fmt::format("expected an object, found {}", root_.type_name()));
  }

  HuggingFaceConfig read() {
    const json* type = find("model_type");
    if (!type || *type != "nanochat") {
      fail("model_type", fmt::format("expected \"nanochat\", found {}; other architectures are not run here",
                                     type ? shown(*type) : "none"));
    }
    read_sizes();
    refuse_what_is_not_run();
    read_rope();
    read_softcap();
    state("norm_eps", "rms_norm_eps", find("rms_norm_eps"), 1e-6, 0, 1);
    config_.tied = flag("tie_word_embeddings");
    for (const auto& [key, value] : root_.items()) {
      const bool known = std::find(read_.begin(), read_.end(), key) != read_.end() ||
                         std::find(kNoMatter.begin(), kNoMatter.end(), key) != kNoMatter.end();
      if (!known) config_.not_read.push_back(quote(key));
    }
    return std::move(config_);
  }

 private:
  [[noreturn]] void fail(const std::string& field, const std::string& message) const {
    throw CheckpointError(place_, field + ": " + message);
  }

  // --- fields ---------------------------------------------------------------------------------------------------

  // Null where the file does not have it.
  const json* find(const char* field) {
    read_.emplace_back(field);
    const auto found = root_.find(field);
    return found == root_.end() ? nullptr : &*found;
  }

  // transformers writes null where a field is unset; these take it for absent.
  const json* find_set(const char* field) {
    const json* found = find(field);
    return found && found->is_null() ? nullptr : found;
  }

  int64_t integer(const char* field, const json* value, int64_t most) {
    if (!value) fail(field, "is missing; copy config.json again or add the field");
    if (!value->is_number_integer() || *value < 1 || *value > most)
      fail(field, fmt::format("expected an integer in 1 to {}, found {}", most, shown(*value)));
    return value->get<int64_t>();
  }

  bool flag(const char* field) {
    const json* value = find_set(field);
    if (value && !value->is_boolean()) fail(field, fmt::format("expected true or false, found {}", shown(*value)));
    return value && value->get<bool>();
  }

  // A constant: what the field says, else transformers' default.
  void state(const std::string& key, const std::string& field, const json* value, double otherwise, double low,
             double high, const char* or_else = "") {
    if (value && (!value->is_number() || !(value->get<double>() >= low && value->get<double>() <= high)))
      fail(field, fmt::format("expected a number in [{}, {}]{}, found {}", low, high, or_else, shown(*value)));
    config_.stated[key] = fmt::format("{}", value ? value->get<double>() : otherwise);
    config_.origins[key] = value ? field : fmt::format("{} is absent, so transformers' default", field);
  }

  // --- sections -------------------------------------------------------------------------------------------------

  // Bounds far beyond any nanochat, and small enough that no product of two overflows.
  void read_sizes() {
    ModelDims& d = config_.dims;
    d.sequence_len = integer("max_position_embeddings", find("max_position_embeddings"), 1 << 24);
    d.vocab_size = integer("vocab_size", find("vocab_size"), 1 << 24);
    d.n_layer = integer("num_hidden_layers", find("num_hidden_layers"), 1 << 12);
    d.n_head = integer("num_attention_heads", find("num_attention_heads"), 1 << 12);
    d.n_embd = integer("hidden_size", find("hidden_size"), 1 << 20);
    const json* kv_heads = find_set("num_key_value_heads");
    d.n_kv_head = kv_heads ? integer("num_key_value_heads", kv_heads, 1 << 12) : d.n_head;
    if (d.n_embd % (2 * d.n_head) != 0) {
      fail("hidden_size",
           fmt::format("expected an even number of channels for each of num_attention_heads {}, found {}", d.n_head,
                       d.n_embd));
    }
    if (d.n_head % d.n_kv_head != 0) {
      fail("num_attention_heads",
           fmt::format("expected a multiple of num_key_value_heads {}, found {}", d.n_kv_head, d.n_head));
    }
    const int64_t head_dim = d.n_embd / d.n_head;
    const json* own_head_dim = find_set("head_dim");
    if (own_head_dim && *own_head_dim != head_dim) {
      fail("head_dim",
           fmt::format("expected hidden_size / num_attention_heads, {}, found {}; heads of another size are "
                       "not run here",
                       head_dim, shown(*own_head_dim)));
    }
    const int64_t hidden = integer("intermediate_size", find("intermediate_size"), 1 << 24);
    if (hidden != 4 * d.n_embd) d.n_inner = hidden;
  }

  void refuse_what_is_not_run() {
    const json* act = find_set("hidden_act");
    if (act && *act != "relu2")
      fail("hidden_act", fmt::format("expected \"relu2\", found {}; other activations are not run here", shown(*act)));
    for (const char* field : {"attention_bias", "mlp_bias"}) {
      if (flag(field)) fail(field, "expected false, found true; biases are not run here");
    }
    if (flag("use_sliding_window"))
      fail("use_sliding_window", "expected false, found true; " + std::string(kNoWindows));
    for (const char* field : {"sliding_window", "quantization_config"}) {
      const json* value = find_set(field);
      if (!value) continue;
      fail(field, fmt::format("expected null, found {}; {}", shown(*value),
                              *field == 's' ? kNoWindows : "save the model with plain weights"));
    }
    const json* types = find_set("layer_types");
    const auto is_full = [](const json& type) { return type == "full_attention"; };
    if (types && (!types->is_array() || !std::all_of(types->begin(), types->end(), is_full)))
      fail("layer_types", fmt::format("expected \"full_attention\" alone, found {}; {}", shown(*types), kNoWindows));
  }

  // Newer files have rope_parameters; older ones rope_theta beside rope_scaling.
  void read_rope() {
    const json* theta = find_set("rope_theta");
    std::string field = "rope_theta";
    for (const char* name : {"rope_scaling", "rope_parameters"}) {
      const json* rope = find_set(name);
      if (!rope) continue;
      if (!rope->is_object()) fail(name, fmt::format("expected an object or null, found {}", shown(*rope)));
      for (const auto& [key, value] : rope->items()) {
        const std::string inner = fmt::format("{}.{}", name, key);
        if (key == "rope_theta") {
          if (theta && *theta != value)
            fail(inner,
                 fmt::format("expected {}, as {} has it, found {}; say it once", shown(*theta), field, shown(value)));
          theta = &value;
          field = inner;
        } else if (key == "rope_type" || key == "type") {
          if (value != "default")
            fail(inner, fmt::format("expected \"default\", found {}; scaled RoPE is not run here", shown(value)));
        } else if (key != "partial_rotary_factor" || value != 1.0) {
          fail(inner,
               fmt::format("expected rope_theta and rope_type \"default\" alone, found {}; other kinds of RoPE are "
                           "not run here",
                           shown(value)));
        }
      }
    }
    const json* partial = find_set("partial_rotary_factor");
    if (partial && *partial != 1.0)
      fail("partial_rotary_factor", fmt::format("expected 1, found {}; partial RoPE is not run here", shown(*partial)));
    state("rope_base", theta ? field : "rope_theta", theta, 10000, 1.0001, 1e12);
  }

  // Here null does not stand for the default: it says that logits are not capped.
  void read_softcap() {
    const char* field = "final_logit_softcapping";
    const json* value = find(field);
    if (!value || !value->is_null()) return state("softcap", field, value, 15, 1e-3, 1e9, " or null");
    config_.stated["softcap"] = "none";
    config_.origins["softcap"] = field;
  }

  static constexpr const char* kNoWindows = "transformers' NanoChat has full attention in all layers";

  const std::string& place_;
  json root_;
  std::vector<std::string> read_;  // the fields asked for
  HuggingFaceConfig config_;
};

struct ExpectedTensor {
  std::string nanochat;  // its name there
  std::vector<int64_t> shape;
};

// By the name that transformers gives.
std::map<std::string, ExpectedTensor> expected_of(const HuggingFaceConfig& config) {
  const ModelDims& d = config.dims;
  const int64_t C = d.n_embd, kv = C / d.n_head * d.n_kv_head, inner = d.mlp_width();
  std::map<std::string, ExpectedTensor> expected = {{kEmbedding, {"transformer.wte.weight", {d.vocab_size, C}}}};
  if (!config.tied) expected[kHead] = {"lm_head.weight", {d.vocab_size, C}};
  for (int64_t i = 0; i < d.n_layer; ++i) {
    const auto add = [&](const char* theirs, const char* ours, std::vector<int64_t> shape) {
      expected[fmt::format("model.layers.{}.{}.weight", i, theirs)] = {
          fmt::format("transformer.h.{}.{}.weight", i, ours), std::move(shape)};
    };
    add("self_attn.q_proj", "attn.c_q", {C, C});
    add("self_attn.k_proj", "attn.c_k", {kv, C});
    add("self_attn.v_proj", "attn.c_v", {kv, C});
    add("self_attn.o_proj", "attn.c_proj", {C, C});
    add("mlp.fc1", "mlp.c_fc", {inner, C});
    add("mlp.fc2", "mlp.c_proj", {C, inner});
  }
  return expected;
}

}  // namespace

HuggingFaceConfig read_huggingface_config(std::string_view text, const std::string& place) {
  return ConfigReader(text, place).read();
}

StateDict with_nanochat_names(const StateDict& tensors, const HuggingFaceConfig& config, const std::string& place) {
  const auto expected = expected_of(config);
  std::vector<std::string> faults;
  StateDict renamed;
  for (const auto& [name, tensor] : expected) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      faults.push_back(name + " is missing");
    } else if (found->second.sizes().vec() != tensor.shape) {
      faults.push_back(fmt::format("{} has shape {}, expected {}", name, shape_text(found->second.sizes().vec()),
                                   shape_text(tensor.shape)));
    } else {
      renamed[tensor.nanochat] = found->second;
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (!expected.count(name) && !(config.tied && name == kHead)) faults.push_back(quote(name) + " is unknown");
  }
  if (!faults.empty()) {
    throw CheckpointError(
        place, fmt::format("its tensors do not fit config.json: {}; copy both again, together", listed(faults, 4)));
  }
  if (config.tied) {
    const at::Tensor& embedding = tensors.at(kEmbedding);
    const auto head = tensors.find(kHead);
    if (head != tensors.end() &&
        (head->second.scalar_type() != embedding.scalar_type() || !at::equal(head->second, embedding))) {
      throw CheckpointError(
          fmt::format("{}: tensor {}", place, quote(kHead)),
          fmt::format("expected what {} holds, as tie_word_embeddings is true, found other numbers; say "
                      "which of the two is meant: drop the tensor, or set tie_word_embeddings to false",
                      quote(kEmbedding)));
    }
    renamed["lm_head.weight"] = embedding;
  }
  return renamed;
}

}  // namespace kvproof
