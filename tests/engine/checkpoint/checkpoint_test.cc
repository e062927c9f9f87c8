#include "engine/checkpoint/checkpoint.h"

#include <nlohmann/json.hpp>

#include "tests/engine/checkpoint/support.h"

namespace kvproof {
namespace {

namespace fs = std::filesystem;
using testing::fault_of;
using testing::generation_path;
using testing::read_bytes;
using testing::TempDir;
using testing::write_bytes;

TEST_CASE("every real checkpoint is loaded, and its generation recognised", "[engine][checkpoint][golden]") {
  const std::map<std::string, std::string> generations = {
      {"2025-10", "2025-10"},           {"2025-12", "2025-12"}, {"2026-01", "2026-01"},
      {"2026-01-windows", "2026-01"},   {"2026-02", "2026-02"}, {"2026-03a", "2026-03a"},
      {"2026-02-softcap20", "2026-02"}, {"head", "head"}};
  for (const auto& [folder, generation] : generations) {
    CAPTURE(folder);
    ArchitectureOverrides overrides;
    const auto golden = nlohmann::json::parse(read_bytes(generation_path(folder + "/golden.json")));
    if (golden.contains("architecture")) {
      for (const auto& [key, value] : golden["architecture"].items())
        overrides[key] = value.is_string() ? value.get<std::string>() : value.dump();
    }
    const auto checkpoint = load_checkpoint({generation_path(folder), {}, {}, {}}, overrides);
    CHECK(checkpoint.architecture.generation == generation);
    CHECK(checkpoint.architecture.softcap == (folder == "2026-02-softcap20" ? 20 : 15));
    CHECK(checkpoint.name == "base/d4 step 50");
    CHECK(checkpoint.dims.vocab_size == 331);
    CHECK(checkpoint.dims.n_kv_head == 2);
    CHECK_FALSE(checkpoint.val_bpb);
    CHECK(checkpoint.inference.ambiguities.size() == (folder == "2026-02"              ? 2
                                                      : checkpoint.dims.window_pattern ? 0
                                                                                       : 1));
    CHECK(checkpoint.meta_json == read_bytes(checkpoint.location.meta_file));
  }
}

TEST_CASE("the demo checkpoint is loaded", "[engine][checkpoint][golden]") {
  const auto demo = load_checkpoint({testing::source_path("configs/checkpoints/demo-d4"), {}, {}, {}});
  CHECK(demo.name == "sft/d4 step 160");
  CHECK(demo.architecture.generation == "head");
  CHECK(demo.architecture.short_window == 128);
  CHECK(demo.tensors.size() == 35);
}

// The head checkpoint with another meta file.
class MetaCase {
 public:
  MetaCase() {
    fs::create_directories(base_ / "base_checkpoints/d4");
    fs::copy_file(generation_path("head/base_checkpoints/d4/model_000050.pt"),
                  base_ / "base_checkpoints/d4/model_000050.pt");
  }

  Checkpoint load(const std::string& meta) const {
    write_bytes(base_ / "base_checkpoints/d4/meta_000050.json", meta);
    return load_checkpoint({base_.path(), {}, {}, {}});
  }

  std::string fault(const std::string& meta) const {
    return fault_of([&] { load(meta); }, base_ / "base_checkpoints/d4");
  }

 private:
  TempDir base_;
};

const std::string kConfig =
    R"({"sequence_len": 512, "vocab_size": 331, "n_layer": 4, "n_head": 4, "n_kv_head": 2, "n_embd": 64, )"
    R"("window_pattern": "SSSL"})";

TEST_CASE("Infinity and NaN are read as Python writes them, and left alone inside strings", "[engine][checkpoint]") {
  const MetaCase head;
  const auto with = [&](const std::string& fields) {
    return head.load("{" + fields + ", \"model_config\": " + kConfig + "}");
  };
  CHECK_FALSE(with(R"("val_bpb": Infinity)").val_bpb);
  CHECK_FALSE(with(R"("val_bpb": -Infinity)").val_bpb);
  CHECK_FALSE(with(R"("val_bpb": NaN)").val_bpb);
  CHECK_FALSE(with(R"("step": 50)").val_bpb);
  CHECK(with(R"("val_bpb": 0.75)").val_bpb == 0.75);
  CHECK(with(R"("loss": [NaN,Infinity , -Infinity], "val_bpb": 1)").val_bpb == 1);
  CHECK(with(R"("note": "NaN \" Infinity \\", "val_bpb": 2)").val_bpb == 2);  // an escaped quote ends no string
  CHECK(with(R"("NaN": "a\\", "val_bpb": 3)").val_bpb == 3);
  const MetaCase strings;
  ModelDims dims =
      strings.load("{\"model_config\": " + kConfig.substr(0, kConfig.size() - 1) + ", \"note\": \"NaN\"}}").dims;
  CHECK(dims.window_pattern == "SSSL");
}

TEST_CASE("a meta file that cannot be used is an error with its line or key", "[engine][checkpoint]") {
  const MetaCase head;
  const auto without = [&](const std::string& part, const std::string& instead) {
    std::string config = kConfig;
    return "{\"model_config\": " + config.replace(config.find(part), part.size(), instead) + "}";
  };
  const std::map<std::string, std::string> faults = {
      {"{\n  \"step\": 50,\n", ":3:1: not valid JSON: unexpected the end of the file; copy the file again"},
      {"{\n  \"a\": NaN, }", ":2:13: not valid JSON: unexpected '}'; copy the file again"},
      {"{\"a\": Infinity x}", ":1:16: not valid JSON: unexpected 'x'; copy the file again"},
      {"[1]", ": model_config: is missing; is this a meta_*.json of nanochat?"},
      {"{}", ": model_config: is missing; is this a meta_*.json of nanochat?"},
      {R"({"model_config": 3})", ": model_config: expected an object, found number"},
      {without("\"n_layer\": 4, ", ""), ": model_config.n_layer: is missing; copy the meta file again or add the key"},
      {without("\"n_layer\": 4", "\"n_layer\": \"4\""), ": model_config.n_layer: expected an integer, found \"4\""},
      {without("\"n_layer\": 4", "\"n_layer\": 4.5"), ": model_config.n_layer: expected an integer, found 4.5"},
      {without("\"n_layer\": 4", "\"n_layer\": NaN"), ": model_config.n_layer: expected an integer, found null"},
      {without("\"n_layer\": 4", "\"n_layer\": 18446744073709551615"),
       ": model_config.n_layer: expected an integer of 64 bits, found 18446744073709551615"},
      {without("\"n_head\": 4", "\"n_head\": 5"), ": model_config.n_embd: expected a multiple of n_head 5, found 64"},
      {without("\"SSSL\"", "7"), ": model_config.window_pattern: expected a string, found number"},
      {without("\"SSSL\"", "\"SQ\""), ": model_config.window_pattern: expected letters S and L, found 'SQ'"},
      {R"({"val_bpb": "low", "model_config": )" + kConfig + "}", ": val_bpb: expected a number or null, found string"},
  };
  for (const auto& [meta, message] : faults) {
    CAPTURE(meta);
    CHECK(head.fault(meta) == "checkpoint| meta_000050.json" + message);
  }
  // The sizes are the meta file's, the tensors the model file's: which of them is wrong nobody can tell.
  CHECK(head.fault(without("\"n_kv_head\": 2", "\"n_kv_head\": 4")) ==
        "checkpoint| model_000050.pt: its tensors do not fit generation head (smear_gate.weight is present): "
        "transformer.h.0.attn.c_k.weight has shape (32, 64), expected (64, 64), transformer.h.0.attn.c_v.weight has "
        "shape (32, 64), "
        "expected (64, 64), transformer.h.1.attn.c_k.weight has shape (32, 64), expected (64, 64), "
        "transformer.h.1.attn.c_v.weight has "
        "shape (32, 64), expected (64, 64) and 8 more; check model_config in the meta file, or name the generation "
        "with --arch "
        "generation=…");
}

TEST_CASE("keys of model_config that nanochat does not have are ignored, and that is said", "[engine][checkpoint]") {
  const MetaCase head;
  const auto checkpoint =
      head.load("{\"model_config\": " + kConfig.substr(0, kConfig.size() - 1) + ", \"rope_base\": 1}}");
  CHECK(checkpoint.inference.ambiguities ==
        std::vector<std::string>{
            "model_config has keys that nanochat did not have and that are ignored here: rope_base; if one matters, "
            "say so with --arch"});
}

TEST_CASE("window_pattern null is window_pattern absent", "[engine][checkpoint]") {
  const MetaCase head;
  std::string config = kConfig;
  config.replace(config.find("\"SSSL\""), 6, "null");
  CHECK(head.load("{\"model_config\": " + config + "}").architecture.window_pattern.empty());
}

}  // namespace
}  // namespace kvproof
