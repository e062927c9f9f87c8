#include "tests/program/broken_files.h"

#include <ATen/ATen.h>

#include <functional>
#include <string>

#include "engine/checkpoint/state_dict.h"
#include "tests/program/program.h"

namespace kvproof::testing {
namespace fs = std::filesystem;
namespace {

constexpr auto kModel = "base_checkpoints/d4/model_000050.pt";
constexpr auto kMeta = "base_checkpoints/d4/meta_000050.json";
constexpr auto kTokenizer = "tokenizer/tokenizer.pkl";

using Edit = std::function<std::string(std::string)>;
using TensorEdit = std::function<void(StateDict&)>;

fs::path good_base() { return source_path("harness/verify/vectors/generations/head"); }

/// A base directory with one file changed.
void break_file(const fs::path& base, const std::string& file, const Edit& edit) {
  fs::copy(good_base(), base, fs::copy_options::recursive);
  write_file_of(base / file, edit(read_file(base / file)));
}

void break_tensors(const fs::path& base, const TensorEdit& edit) {
  fs::copy(good_base(), base, fs::copy_options::recursive);
  auto tensors = load_state_dict(good_base() / kModel);
  edit(tensors);
  fs::remove(base / kModel);
  save_state_dict(tensors, base / kModel);
}

Edit first_bytes(std::size_t n) {
  return [n](const std::string& bytes) { return bytes.substr(0, n); };
}
Edit replaced(const std::string& from, const std::string& to) {
  return [from, to](std::string bytes) {
    const auto at = bytes.find(from);
    REQUIRE(at != std::string::npos);
    return bytes.replace(at, from.size(), to);
  };
}
Edit wholly(const std::string& bytes) {
  return [bytes](const std::string&) { return bytes; };
}

void break_models(const fs::path& folder) {
  break_file(folder / "model-cut", kModel, first_bytes(514755));
  break_file(folder / "model-text", kModel, wholly("not a model"));
  break_file(folder / "model-foreign", kModel, replaced("collections\nOrderedDict", "posixsystem\nOrderedDict"));
  break_tensors(folder / "tensor-missing",
                [](StateDict& tensors) { tensors.erase("transformer.h.1.attn.c_k.weight"); });
  break_tensors(folder / "tensor-extra", [](StateDict& tensors) {
    tensors["transformer.wpe.weight"] = at::zeros({2, 2});
  });
  break_tensors(folder / "tensor-misshaped", [](StateDict& tensors) {
    tensors["transformer.h.2.mlp.c_fc.weight"] = at::zeros({64, 256});
  });
  break_tensors(folder / "tensor-integer", [](StateDict& tensors) {
    tensors["transformer.h.2.mlp.c_fc.weight"] = at::zeros({256, 64}, at::TensorOptions(at::kLong));
  });
  break_tensors(folder / "design-v0", [](StateDict& tensors) { tensors["v0_lambdas"] = at::zeros({4}); });
}

void break_metas(const fs::path& folder) {
  break_file(folder / "meta-cut", kMeta, first_bytes(60));
  break_file(folder / "meta-empty-object", kMeta, wholly("{}"));
  break_file(folder / "meta-layers", kMeta, replaced("\"n_layer\": 4", "\"n_layer\": 5"));
  break_file(folder / "meta-embd", kMeta, replaced("\"n_embd\": 64", "\"n_embd\": 128"));
  break_file(folder / "meta-heads", kMeta, replaced("\"n_head\": 4", "\"n_head\": 3"));
  break_file(folder / "meta-string", kMeta, replaced("\"n_embd\": 64", "\"n_embd\": \"64\""));
  break_file(folder / "meta-kv-heads", kMeta, replaced("\"n_kv_head\": 2", "\"n_kv_head\": 3"));
  fs::copy(good_base(), folder / "meta-missing", fs::copy_options::recursive);
  fs::remove(folder / "meta-missing" / kMeta);
}

void break_tokenizers(const fs::path& folder) {
  break_file(folder / "tokenizer-cut", kTokenizer, first_bytes(100));
  break_file(folder / "tokenizer-foreign", kTokenizer,
             wholly(std::string("\x80\x02"
                                "cos\nsystem\nX\x04\x00\x00\x00"
                                "echo\x85R.",
                                25)));
  break_file(folder / "tokenizer-list", kTokenizer, wholly("\x80\x02]."));
  fs::copy(good_base(), folder / "tokenizer-missing", fs::copy_options::recursive);
  fs::remove(folder / "tokenizer-missing" / kTokenizer);
  fs::copy(source_path("configs/checkpoints/demo-d4"), folder / "tokenizer-other", fs::copy_options::recursive);
  fs::copy(good_base() / kTokenizer, folder / "tokenizer-other" / kTokenizer, fs::copy_options::overwrite_existing);
}

void write_configs(const fs::path& folder) {
  const std::string model = "{name: a, synthetic: \"d2,vocab_size=64,n_embd=32,n_head=2,sequence_len=8\"}";
  const std::string checkpoints = "checkpoints: [" + model + "]\n", prompts = "prompts: [{name: p, tokens: [1]}]\n";
  const std::map<std::string, std::string> configs = {
      {"good", checkpoints + prompts},
      {"empty", ""},
      {"syntax", "checkpoints: [1\n"},
      {"unknown-key", checkpoints + prompts + "sampler: {temprature: 0}\n"},
      {"range", checkpoints + prompts + "sampler: {max_tokens: 0}\n"},
      {"type", checkpoints + prompts + "sampler: {temperature: hot}\n"},
      {"word", checkpoints + prompts + "run: {dtype: float23}\n"},
      {"no-checkpoints", prompts},
      {"two-kinds", checkpoints + "prompts: [{name: p, tokens: [1], text: a}]\n"},
      {"same-name", "checkpoints: [" + model + ", " + model + "]\n" + prompts},
      {"twice", checkpoints + prompts + "run: {threads: 1}\nrun: {threads: 2}\n"},
      {"synthetic", "checkpoints: [{name: a, synthetic: d2x}]\n" + prompts},
      {"text", checkpoints + "prompts: [{name: p, text: hello}]\n"},
      {"outside", checkpoints + "prompts: [{name: p, tokens: [64]}]\n"},
      {"gone", "checkpoints: [{name: a, base_dir: nowhere}]\n" + prompts},
      {"long", checkpoints + prompts + "sampler: {max_tokens: 100}\n"},
  };
  for (const auto& [name, text] : configs) write_file_of(folder / (name + ".yaml"), text);
}

void write_records(const fs::path& folder) {
  write_file_of(folder / "other.json", "{\"a\": 1}");
  write_file_of(folder / "cut.json", "{");
  write_file_of(folder / "newer.json", "{\"schema\": {\"name\": \"kvproof-run\", \"version\": 99}}");
  write_file_of(folder / "damaged.json", "{\"schema\": {\"name\": \"kvproof-run\", \"version\": 1}}");
}

}  // namespace

void make_broken_files(const fs::path& folder) {
  fs::create_directories(folder / "empty");
  fs::create_directory_symlink(source_path("configs/checkpoints/demo-d4"), folder / "demo");
  break_models(folder);
  break_metas(folder);
  break_tokenizers(folder);
  write_configs(folder);
  write_records(folder);
  write_file_of(folder / "bad.txt", "ab\xff");
  write_file_of(folder / "file", "");
}

}  // namespace kvproof::testing
