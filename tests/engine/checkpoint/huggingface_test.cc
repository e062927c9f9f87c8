#include "engine/checkpoint/huggingface.h"

#include <ATen/ATen.h>

#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "engine/checkpoint/checkpoint.h"
#include "engine/checkpoint/safetensors.h"
#include "tests/engine/checkpoint/support.h"

namespace kvproof {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::fault_of;
using testing::read_bytes;
using testing::source_path;
using testing::TempDir;
using testing::write_bytes;

std::string golden(const std::string& name) { return source_path("tests/golden/huggingface/" + name); }

json golden_config() { return json::parse(read_bytes(golden("config.json"))); }

// A copy of the golden folder, its weights linked.
void copy_golden(const TempDir& folder, const json& config = golden_config()) {
  write_bytes(folder / "config.json", config.dump());
  fs::create_symlink(golden("model.safetensors"), folder / "model.safetensors");
}

std::string config_fault(const json& patch, const std::vector<std::string>& without = {}) {
  json config = golden_config();
  config.update(patch);
  for (const auto& field : without) config.erase(field);
  return fault_of([&] { read_huggingface_config(config.dump(), "c"); });
}

TEST_CASE("a folder in Hugging Face's layout is found by what lies there", "[engine][huggingface]") {
  const auto checkpoint = load_checkpoint({source_path("tests/golden/huggingface"), {}, {}, {}});
  CHECK(checkpoint.name == "huggingface");
  CHECK(checkpoint.location.layout == CheckpointLayout::huggingface);
  CHECK(checkpoint.location.model_file == golden("model.safetensors"));
  CHECK(checkpoint.location.meta_file == golden("config.json"));
  CHECK(checkpoint.location.tokenizer_dir == source_path("tests/golden/huggingface"));
  CHECK(checkpoint.location.source.empty());
  CHECK(checkpoint.location.tag.empty());
  CHECK(checkpoint.location.guesses.empty());
  CHECK(checkpoint.inference.ambiguities.empty());
  CHECK(checkpoint.inference.reason == "config.json: model_type nanochat of transformers");
  CHECK(checkpoint.dims.sequence_len == 64);
  CHECK(checkpoint.dims.vocab_size == 331);
  CHECK(checkpoint.dims.n_layer == 3);
  CHECK(checkpoint.dims.n_head == 6);
  CHECK(checkpoint.dims.n_kv_head == 2);
  CHECK(checkpoint.dims.n_embd == 36);
  CHECK_FALSE(checkpoint.dims.window_pattern.has_value());
}

TEST_CASE("every constant is config.json's or fixed in transformers, and its origin is said", "[engine][huggingface]") {
  const auto checkpoint = load_checkpoint({source_path("tests/golden/huggingface"), {}, {}, {}});
  const Architecture& a = checkpoint.architecture;
  CHECK(a.generation == "huggingface");
  CHECK(a.rope_base == 20000);
  CHECK(a.softcap == 12);
  CHECK(a.norm_eps == 3e-6);
  CHECK(a.qk_scale == 1);
  CHECK(a.rope_table_dtype == "compute");
  CHECK(a.long_window == kUnlimited);
  CHECK_FALSE((a.has_lambdas || a.has_smear || a.has_backout || a.has_value_embeds));
  CHECK(checkpoint.inference.origins ==
        std::vector<std::string>{
            "rope_base 20000: config.json, rope_parameters.rope_theta",
            "softcap 12: config.json, final_logit_softcapping", "norm_eps 3e-06: config.json, rms_norm_eps",
            "rope_table_dtype compute: fixed in transformers' code", "qk_scale 1: fixed in transformers' code",
            "window_pattern none: fixed in transformers' code"});
}

TEST_CASE("an MLP is as wide as config.json says, and logits are capped only where it says so", "[engine][huggingface]") {
  const auto own = load_checkpoint({golden("inner-50"), {}, {}, {}});
  CHECK(own.dims.n_embd == 24);
  CHECK(own.dims.n_inner == 50);
  CHECK(own.dims.mlp_width() == 50);
  CHECK(own.tensors.at("transformer.h.1.mlp.c_proj.weight").sizes() == at::IntArrayRef({24, 50}));
  CHECK(own.architecture.softcap == 0);
  CHECK(own.inference.origins[1] == "softcap none: config.json, final_logit_softcapping");
  const auto usual = load_checkpoint({source_path("tests/golden/huggingface"), {}, {}, {}});
  CHECK(usual.dims.n_inner == 0);  // as in nanochat, where nothing says it
  CHECK(usual.dims.mlp_width() == 144);
}

TEST_CASE("a width of its own cannot be saved in nanochat's layout", "[engine][huggingface]") {
  const auto checkpoint = load_checkpoint({golden("inner-50"), {}, {}, {}});
  const TempDir folder;
  CHECK(fault_of([&] { save_checkpoint(checkpoint, folder.path(), "d2", 0); }) ==
        "checkpoint| n_inner: expected 4 · n_embd, 96, the only width that nanochat's meta file can mean, found 50");
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("an override wins over config.json", "[engine][huggingface]") {
  const auto checkpoint = load_checkpoint({source_path("tests/golden/huggingface"), {}, {}, {}},
                                          {{"softcap", "20"}, {"generation", "2025-10"}});
  CHECK(checkpoint.architecture.softcap == 20);
  CHECK(checkpoint.architecture.rope_base == 20000);
  CHECK(checkpoint.architecture.rope_table_dtype == "bfloat16");
  CHECK(checkpoint.inference.origins[1] == "softcap 20: --arch softcap");
  CHECK(checkpoint.inference.origins[3] == "rope_table_dtype bfloat16: --arch generation");
  CHECK(
      fault_of([] {
        load_checkpoint({source_path("tests/golden/huggingface"), {}, {}, {}}, {{"generation", "huggingface"}});
      }) ==
      "argument| architecture.generation: huggingface is for folders with a config.json alone, and is found out there; "
      "leave it out");
}

TEST_CASE("what config.json leaves out has transformers' defaults", "[engine][huggingface]") {
  json config = golden_config();
  for (const char* field : {"rope_parameters", "rms_norm_eps", "final_logit_softcapping", "hidden_act",
                            "attention_bias", "tie_word_embeddings", "num_key_value_heads"})
    config.erase(field);
  config["strange"] = 1;
  const auto read = read_huggingface_config(config.dump(), "c");
  CHECK(read.stated == ArchitectureOverrides{{"rope_base", "10000"}, {"softcap", "15"}, {"norm_eps", "1e-06"}});
  CHECK(read.origins.at("softcap") == "final_logit_softcapping is absent, so transformers' default");
  CHECK(read.dims.n_kv_head == 6);
  CHECK_FALSE(read.tied);
  CHECK(read.not_read == std::vector<std::string>{"'strange'"});
}

TEST_CASE("RoPE's base is read from new files and from old ones", "[engine][huggingface]") {
  const auto base_of = [](const json& patch) {
    json config = golden_config();
    config.erase("rope_parameters");
    config.update(patch);
    return read_huggingface_config(config.dump(), "c").stated.at("rope_base");
  };
  CHECK(base_of({{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5000}}}}) == "5000");
  CHECK(base_of({{"rope_theta", 5000.5}}) == "5000.5");
  CHECK(base_of({{"rope_theta", 5000.5}, {"rope_scaling", nullptr}}) == "5000.5");
  CHECK(base_of({{"rope_theta", 500}, {"rope_scaling", {{"type", "default"}}}}) == "500");
}

TEST_CASE("what a config.json asks for and is not run here is refused by field", "[engine][huggingface]") {
  struct Fault {
    json patch;
    std::string message;
  };
  const std::string full = "; transformers' NanoChat has full attention in all layers";
  const std::vector<Fault> faults = {
      {{{"model_type", "llama"}},
       R"(model_type: expected "nanochat", found "llama"; other architectures are not run here)"},
      {{{"hidden_act", "silu"}}, R"(hidden_act: expected "relu2", found "silu"; other activations are not run here)"},
      {{{"attention_bias", true}}, "attention_bias: expected false, found true; biases are not run here"},
      {{{"attention_bias", 1}}, "attention_bias: expected true or false, found 1"},
      {{{"use_sliding_window", true}}, "use_sliding_window: expected false, found true" + full},
      {{{"sliding_window", 512}}, "sliding_window: expected null, found 512" + full},
      {{{"layer_types", {"full_attention", "sliding_attention"}}},
       R"(layer_types: expected "full_attention" alone, found ["full_attention","sliding_attention"])" + full},
      {{{"quantization_config", {{"bits", 4}}}},
       R"(quantization_config: expected null, found {"bits":4}; save the model with plain weights)"},
      {{{"head_dim", 8}},
       "head_dim: expected hidden_size / num_attention_heads, 6, found 8; heads of another size are not run here"},
      {{{"intermediate_size", 0}}, "intermediate_size: expected an integer in 1 to 16777216, found 0"},
      {{{"intermediate_size", nullptr}}, "intermediate_size: expected an integer in 1 to 16777216, found null"},
      {{{"hidden_size", 35}},
       "hidden_size: expected an even number of channels for each of num_attention_heads 6, found 35"},
      {{{"num_key_value_heads", 4}}, "num_attention_heads: expected a multiple of num_key_value_heads 4, found 6"},
      {{{"vocab_size", "331"}}, R"(vocab_size: expected an integer in 1 to 16777216, found "331")"},
      {{{"num_hidden_layers", 0}}, "num_hidden_layers: expected an integer in 1 to 4096, found 0"},
      {{{"rms_norm_eps", -1}}, "rms_norm_eps: expected a number in [0, 1], found -1"},
      {{{"final_logit_softcapping", 0}},
       "final_logit_softcapping: expected a number in [0.001, 1000000000] or null, found 0"},
      {{{"rope_parameters", {{"rope_type", "yarn"}, {"factor", 2}}}},
       R"(rope_parameters.factor: expected rope_theta and rope_type "default" alone, found 2; other kinds of RoPE are not run here)"},
      {{{"rope_parameters", {{"rope_type", "linear"}}}},
       R"(rope_parameters.rope_type: expected "default", found "linear"; scaled RoPE is not run here)"},
      {{{"rope_scaling", {{"type", "linear"}}}},
       R"(rope_scaling.type: expected "default", found "linear"; scaled RoPE is not run here)"},
      {{{"rope_theta", 1e4}},
       "rope_parameters.rope_theta: expected 10000.0, as rope_theta has it, found 20000.0; say it once"},
      {{{"partial_rotary_factor", 0.5}}, "partial_rotary_factor: expected 1, found 0.5; partial RoPE is not run here"},
      {{{"tie_word_embeddings", "no"}}, R"(tie_word_embeddings: expected true or false, found "no")"},
  };
  for (const auto& [patch, message] : faults) CHECK(config_fault(patch) == "checkpoint| c: " + message);
  CHECK(config_fault(json::object(), {"model_type"}) ==
        "checkpoint| c: model_type: expected \"nanochat\", found none; other architectures are not run here");
  for (const char* field : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                            "intermediate_size", "max_position_embeddings"})
    CHECK(config_fault(json::object(), {field}) ==
          std::string("checkpoint| c: ") + field + ": is missing; copy config.json again or add the field");
  CHECK(config_fault({{"head_dim", 6}, {"sliding_window", nullptr}, {"layer_types", {"full_attention"}}}) ==
        "no error");
  CHECK(fault_of([] { read_huggingface_config("[]", "c"); }) == "checkpoint| c: expected an object, found array");
  CHECK(fault_of([] { read_huggingface_config("{\n \"a\": x}", "c"); }) ==
        "checkpoint| c:2:7: not valid JSON: unexpected 'x'; copy the file again");
}

TEST_CASE("a config.json with any value of another kind is read or refused, and nothing else",
          "[engine][huggingface]") {
  const json original = golden_config().flatten();
  for (const auto& [pointer, value] : original.items()) {
    for (const json& other : {json(), json(true), json(-1), json(1e300), json("x"), json::array({1}), json::object()}) {
      json config = golden_config();
      config[json::json_pointer(pointer)] = other;
      CAPTURE(pointer, other.dump());
      fault_of([&] { read_huggingface_config(config.dump(), "c"); });  // throws what is no Error of ours
    }
  }
}

TEST_CASE("a checkpoint in Hugging Face's layout has no source, tag or step to choose", "[engine][huggingface]") {
  const fs::path base = source_path("tests/golden/huggingface");
  const std::string why =
      ": cannot be chosen: " + base.string() +
      " is one checkpoint in Hugging Face's layout (config.json and model.safetensors); leave it out";
  CHECK(fault_of([&] { locate_checkpoint({base, "base", {}, {}}); }) == "argument| source" + why);
  CHECK(fault_of([&] { locate_checkpoint({base, {}, "d4", {}}); }) == "argument| tag" + why);
  CHECK(fault_of([&] { locate_checkpoint({base, {}, {}, 3}); }) == "argument| step" + why);
}

TEST_CASE("half of Hugging Face's layout says which half is missing", "[engine][huggingface]") {
  const std::string searched =
      "no checkpoint: searched chatsft_checkpoints (missing), chatrl_checkpoints (missing), mid_checkpoints (missing), "
      "base_checkpoints (missing); the folder holds ";
  const TempDir config, weights;
  write_bytes(config / "config.json", "{}");
  CHECK_THAT(fault_of([&] {
               locate_checkpoint({config.path(), {}, {}, {}});
             }),
             Catch::Matchers::EndsWith(searched + "config.json; beside config.json neither model.safetensors nor "
                                                  "model.safetensors.index.json is there: save it with transformers' "
                                                  "save_pretrained"));
  write_bytes(weights / "model.safetensors", "x");
  CHECK_THAT(fault_of([&] {
               locate_checkpoint({weights.path(), {}, {}, {}});
             }),
             Catch::Matchers::EndsWith(searched + "model.safetensors; model.safetensors needs the config.json that was "
                                                  "saved with it: copy that too"));
}

TEST_CASE("where nanochat's folders are too, they are what is meant", "[engine][huggingface]") {
  const TempDir folder;
  copy_golden(folder);
  CHECK(locate_checkpoint({folder.path(), {}, {}, {}}).layout == CheckpointLayout::huggingface);
  fs::create_directories(folder / "base_checkpoints");
  CHECK_THAT(fault_of([&] {
               locate_checkpoint({folder.path(), {}, {}, {}});
             }),
             Catch::Matchers::Contains("no checkpoint"));
}

// A .safetensors file of float32 tensors.
void write_safetensors(const fs::path& file, const StateDict& tensors) {
  json header = json::object();
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const size_t begin = data.size();
    data.append(static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes());
    header[name] = {{"dtype", "F32"}, {"shape", tensor.sizes().vec()}, {"data_offsets", {begin, data.size()}}};
  }
  const std::string text = header.dump();
  const uint64_t length = text.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  write_bytes(file, bytes + text + data);
}

TEST_CASE("shards give the same tensors as one file", "[engine][huggingface]") {
  const StateDict all = load_safetensors(golden("model.safetensors"));
  const TempDir folder;
  json index = {{"weight_map", json::object()}};
  std::map<std::string, StateDict> shards;
  for (const auto& [name, tensor] : all) {
    const std::string file = shards["model-00001-of-00002.safetensors"].size() < 7 ? "model-00001-of-00002.safetensors"
                                                                                   : "model-00002-of-00002.safetensors";
    shards[file][name] = tensor;
    index["weight_map"][name] = file;
  }
  for (const auto& [file, tensors] : shards) write_safetensors(folder / file, tensors);
  write_bytes(folder / "config.json", golden_config().dump());
  write_bytes(folder / "model.safetensors.index.json", index.dump());

  const auto sharded = load_checkpoint({folder.path(), {}, {}, {}});
  CHECK(sharded.location.is_sharded());
  CHECK(sharded.location.tokenizer_dir.empty());
  const auto whole = load_checkpoint({source_path("tests/golden/huggingface"), {}, {}, {}});
  REQUIRE(sharded.tensors.size() == whole.tensors.size());
  for (const auto& [name, tensor] : whole.tensors) CHECK(at::equal(tensor, sharded.tensors.at(name)));
}

TEST_CASE("tied embeddings are one tensor under two names", "[engine][huggingface]") {
  StateDict tensors = load_safetensors(golden("model.safetensors"));
  json config = golden_config();
  config["tie_word_embeddings"] = true;
  const auto read = read_huggingface_config(config.dump(), "c");
  CHECK(
      fault_of([&] { with_nanochat_names(tensors, read, "f"); }) ==
      "checkpoint| f: tensor 'lm_head.weight': expected what 'model.embed_tokens.weight' holds, as tie_word_embeddings "
      "is "
      "true, found other numbers; say which of the two is meant: drop the tensor, or set tie_word_embeddings to false");
  tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone();
  CHECK(with_nanochat_names(tensors, read, "f").size() == tensors.size());
  tensors.erase("lm_head.weight");
  const auto tied = with_nanochat_names(tensors, read, "f");
  CHECK(tied.at("lm_head.weight").const_data_ptr() == tied.at("transformer.wte.weight").const_data_ptr());
  CHECK(tied.size() == tensors.size() + 1);
}

TEST_CASE("tensors that do not fit config.json are named as in the file", "[engine][huggingface]") {
  const auto config = read_huggingface_config(golden_config().dump(), "c");
  const auto fault = [&](const std::function<void(StateDict&)>& spoil) {
    StateDict tensors = load_safetensors(golden("model.safetensors"));
    spoil(tensors);
    return fault_of([&] { with_nanochat_names(tensors, config, "f"); });
  };
  const std::string begin = "checkpoint| f: its tensors do not fit config.json: ", end = "; copy both again, together";
  CHECK(fault([](StateDict& t) { t.erase("model.layers.2.mlp.fc1.weight"); }) ==
        begin + "model.layers.2.mlp.fc1.weight is missing" + end);
  CHECK(fault([](StateDict& t) {
          t["model.layers.0.self_attn.k_proj.weight"] = at::zeros({36, 36});
        }) == begin + "model.layers.0.self_attn.k_proj.weight has shape (36, 36), expected (12, 36)" + end);
  CHECK(fault([](StateDict& t) { t["model.layers.0.self_attn.q_proj.bias"] = at::zeros({36}); }) ==
        begin + "'model.layers.0.self_attn.q_proj.bias' is unknown" + end);
  json narrow = golden_config();
  narrow["intermediate_size"] = 100;
  CHECK(fault_of([&] {
          with_nanochat_names(load_safetensors(golden("model.safetensors")),
                              read_huggingface_config(narrow.dump(), "c"), "f");
        }) == begin +
                  "model.layers.0.mlp.fc1.weight has shape (144, 36), expected (100, 36), "
                  "model.layers.0.mlp.fc2.weight has shape (36, 144), expected (36, 100), "
                  "model.layers.1.mlp.fc1.weight has shape (144, 36), expected (100, 36), "
                  "model.layers.1.mlp.fc2.weight has shape (36, 144), expected (36, 100) and 2 more" +
                  end);
}

}  // namespace
}  // namespace kvproof
