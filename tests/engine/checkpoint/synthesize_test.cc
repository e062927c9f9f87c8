#include <ATen/ops/equal.h>
#include <nlohmann/json.hpp>

#include "engine/checkpoint/byte_tokenizer.h"
#include "engine/checkpoint/checkpoint.h"
#include "engine/checkpoint/pickle.h"
#include "tests/engine/checkpoint/support.h"

namespace kvproof {
namespace {

namespace fs = std::filesystem;
using testing::fault_of;
using testing::generation_path;
using testing::read_bytes;
using testing::TempDir;
using testing::write_bytes;

// Small enough to be made in milliseconds.
const std::string kTiny = "d2,n_embd=64,n_head=4,vocab_size=300,sequence_len=256";

std::vector<float> first(const at::Tensor& tensor, size_t n) {
  const auto* data = tensor.const_data_ptr<float>();
  return {data, data + n};
}

TEST_CASE("the numbers of a synthetic checkpoint are the same on every machine", "[engine][synthesize]") {
  // Computed by a Python implementation of the same rule: splitmix64's finalizer over a counter, streams by FNV-1a of the name.
  const auto c = synthesize_checkpoint("d1,n_embd=64,n_head=2,vocab_size=300,seed=3");
  CHECK(first(c.tensors.at("transformer.wte.weight"), 4) ==
        std::vector<float>{-0x1.010cf8p-1f, 0x1.1f8344p+0f, 0x1.31f0ep+0f, 0x1.8e782ep-1f});
  CHECK(first(c.tensors.at("transformer.h.0.mlp.c_fc.weight"), 6) ==
        std::vector<float>{-0x1.39863p-3f, 0x1.922e1ap-4f, 0x1.de9d46p-11f, -0x1.080b72p-7f, 0x1.adb316p-6f,
                           0x1.2f0446p-4f});
}

TEST_CASE("the same spec gives the same weights, another seed others, another dtype the same rounded",
          "[engine][synthesize]") {
  const auto a = synthesize_checkpoint(kTiny), b = synthesize_checkpoint(kTiny),
             other = synthesize_checkpoint(kTiny + ",seed=1"), half = synthesize_checkpoint(kTiny + ",dtype=bfloat16");
  for (const auto& [name, tensor] : a.tensors) {
    CAPTURE(name);
    CHECK(at::equal(tensor, b.tensors.at(name)));
    CHECK_FALSE(at::equal(tensor, other.tensors.at(name)));
    const auto& rounded = half.tensors.at(name);
    CHECK(rounded.scalar_type() == (tensor.dim() == 2 ? at::kBFloat16 : at::kFloat));
    CHECK(at::equal(rounded, tensor.to(rounded.scalar_type())));
  }
  CHECK(synthesize_checkpoint(kTiny + ",dtype=float16").tensors.at("lm_head.weight").scalar_type() == at::kHalf);
}

TEST_CASE("every weight is hot and as spread as its place asks", "[engine][synthesize]") {
  const auto c = synthesize_checkpoint(kTiny);
  const auto deviation = [&](const std::string& name) { return c.tensors.at(name).std().item<double>(); };
  CHECK(deviation("transformer.wte.weight") == Approx(1).epsilon(0.02));
  CHECK(deviation("lm_head.weight") == Approx(3.0 / 8).epsilon(0.02));                      // 3 / sqrt(64)
  CHECK(deviation("transformer.h.1.mlp.c_proj.weight") == Approx(1.0 / 16).epsilon(0.02));  // 1 / sqrt(256)
  CHECK(c.tensors.at("resid_lambdas").mean().item<double>() == Approx(1).margin(0.1));
  CHECK(c.tensors.at("smear_lambda").item<double>() == Approx(0.5).margin(0.05));
  CHECK(c.tensors.at("backout_lambda").item<double>() == Approx(0.2).margin(0.02));
  for (const auto& [name, tensor] : c.tensors) {
    CAPTURE(name);
    CHECK(tensor.abs().max().item<double>() > 0.1);
    CHECK(tensor.abs().max().item<double>() < 2);
  }
}

TEST_CASE("a depth alone gives nanochat's sizes, odd ones rounded up to whole heads", "[engine][synthesize]") {
  const auto sizes = [](const std::string& spec) {
    const auto d = synthesize_checkpoint(spec + ",vocab_size=64").dims;
    return std::vector<int64_t>{d.n_layer, d.n_embd, d.n_head, d.n_kv_head, d.sequence_len};
  };
  CHECK(sizes("d1") == std::vector<int64_t>{1, 128, 1, 1, 2048});
  CHECK(sizes("d2") == std::vector<int64_t>{2, 128, 1, 1, 2048});
  CHECK(sizes("d3") == std::vector<int64_t>{3, 256, 2, 2, 2048});
  CHECK(sizes("d4") == std::vector<int64_t>{4, 256, 2, 2, 2048});
  CHECK(sizes("d4,n_head=4") == std::vector<int64_t>{4, 256, 4, 4, 2048});  // n_kv_head follows
  CHECK(sizes("d4,n_layer=1,n_head=4,n_kv_head=2,n_embd=64,sequence_len=9") == std::vector<int64_t>{1, 64, 4, 2, 9});
  CHECK(synthesize_checkpoint("d1").dims.vocab_size == 32768);
  CHECK(*synthesize_checkpoint(kTiny).dims.window_pattern == "SSSL");
  CHECK(synthesize_checkpoint(kTiny + ",window_pattern=none").architecture.window_pattern.empty());
  CHECK(synthesize_checkpoint(kTiny + ",window_pattern=sl").architecture.window_pattern == "SL");
}

TEST_CASE("a synthetic checkpoint of every generation is saved, found and recognised again", "[engine][synthesize]") {
  const auto generation = GENERATE("2025-10", "2025-12", "2026-01", "2026-02", "2026-03a", "head");
  CAPTURE(generation);
  const TempDir base;
  const auto made = synthesize_checkpoint(kTiny + ",n_kv_head=1,generation=" + generation);
  save_checkpoint(made, base.path(), "d2", 7);
  const auto loaded = load_checkpoint({base.path(), {}, {}, {}});
  CHECK(loaded.architecture.generation == generation);
  CHECK(loaded.location.step == 7);
  CHECK(loaded.location.tokenizer_dir == base / "tokenizer");
  CHECK(loaded.dims.window_pattern == made.dims.window_pattern);
  CHECK(loaded.dims.n_kv_head == 1);
  CHECK(loaded.architecture.short_window == made.architecture.short_window);
  // 300 is no multiple of 64: padded since 2025-12
  CHECK(loaded.tensors.at("lm_head.weight").size(0) == (std::string(generation) == "2025-10" ? 300 : 320));
  REQUIRE(loaded.tensors.size() == made.tensors.size());
  for (const auto& [name, tensor] : made.tensors) CHECK(at::equal(tensor, loaded.tensors.at(name)));
}

TEST_CASE("overrides of a synthetic checkpoint win over its spec", "[engine][synthesize]") {
  const auto c = synthesize_checkpoint(kTiny + ",generation=2026-02", {{"softcap", "20"}, {"generation", "2026-01"}});
  CHECK(c.architecture.softcap == 20);
  CHECK(c.architecture.generation == "2026-01");
  CHECK(c.tensors.count("value_embeds.1.weight") == 0);
  CHECK(c.inference.ambiguities.empty());
}

TEST_CASE("a spec that cannot be made is an error that says what can", "[engine][synthesize]") {
  const std::string fields =
      "sequence_len, vocab_size, n_layer, n_head, n_kv_head, n_embd, window_pattern, generation, seed, dtype";
  const std::string shape = "expected d<layers>, perhaps with fields, as in d4,vocab_size=2048; found ";
  const std::map<std::string, std::string> messages = {
      {"", shape + "''"},
      {"12", shape + "'12'"},
      {"d", shape + "'d'"},
      {"dx", "d<layers>: expected an integer of at least 0, found 'x'"},
      {"d0", "n_layer: expected 1 to 4096, found 0"},
      {"d4,", "expected field=value with one of " + fields + ", found ''"},
      {"d4,width=3", "expected field=value with one of " + fields + ", found 'width=3'"},
      {"d4,seed", "expected field=value with one of " + fields + ", found 'seed'"},
      {"d4,seed=-1", "seed: expected an integer of at least 0, found '-1'"},
      {"d4,seed=1,seed=2", "seed is given twice"},
      {"d4,n_embd=99999999999999999999", "n_embd: expected an integer of at least 0, found '99999999999999999999'"},
      {"d4,n_head=3", "n_embd: expected a multiple of n_head 3, found 256"},
      {"d4,n_kv_head=4", "n_head: expected a multiple of n_kv_head 4, found 2"},
      {"d4,n_head=4,n_embd=16", "n_embd: expected at least 24, which the gates of generation head read, found 16"},
      {"d4,window_pattern=X", "window_pattern: expected letters S and L, found 'X'"},
      {"d4,dtype=int8", "dtype: expected float32, bfloat16 or float16, found 'int8'"},
      {"d4,generation=2025-10,window_pattern=SL",
       "window_pattern SL has short windows, but generation 2025-10 has none; add --arch short_window=N"},
      {"d999", "5.02e+13 parameters, more than the 2e+10 allowed"},
  };
  for (const auto& [spec, message] : messages) {
    CAPTURE(spec);
    CHECK(fault_of([&, s = spec] { synthesize_checkpoint(s); }) == "argument| synthetic: " + message);
  }
  CHECK(fault_of([] { synthesize_checkpoint("d4,generation=gpt2"); }) ==
        "argument| architecture.generation: expected one of 2025-10, 2025-12, 2025-10/2025-12, 2026-01, 2026-02, "
        "2026-03a, head, found "
        "'gpt2'");
}

TEST_CASE("a checkpoint is never overwritten, nor a tokenizer exchanged", "[engine][synthesize]") {
  const TempDir base;
  const auto c = synthesize_checkpoint(kTiny);
  const auto fault = [&](const Checkpoint& checkpoint, const std::string& tag, int64_t step) {
    return fault_of([&] { save_checkpoint(checkpoint, base.path(), tag, step); }, base.path());
  };
  const std::string there = ": is there already and is not overwritten; choose another folder, tag or step";
  CHECK(fault(c, "d2", 0) == "no error");
  CHECK(fault(c, "d2", 0) == "checkpoint| base_checkpoints/d2/model_000000.pt" + there);
  CHECK(fault(c, "d2", 1) == "no error");
  fs::remove(base / "base_checkpoints/d2/model_000001.pt");
  CHECK(fault(c, "d2", 1) == "checkpoint| base_checkpoints/d2/meta_000001.json" + there);
  CHECK(fault(synthesize_checkpoint("d1,vocab_size=301"), "d1", 0) ==
        "checkpoint| tokenizer/tokenizer.pkl: another tokenizer than the one of 301 tokens to be written is there; "
        "choose another base "
        "directory");
  CHECK_FALSE(fs::exists(base / "base_checkpoints/d1"));
  CHECK(fault(c, "../d2", 0) == "checkpoint| tag: expected the name of a folder, found '../d2'");
  CHECK(fault(c, "", 0) == "checkpoint| tag: expected the name of a folder, found ''");
  CHECK(fault(c, "d2", -1) == "checkpoint| step: expected at least 0, found -1");
  write_bytes(base / "file", "x");
  CHECK(fault_of([&] { save_checkpoint(c, base / "file", "d2", 0); }, base.path()) ==
        "checkpoint| file/tokenizer: the folder cannot be made: Not a directory");
}

TEST_CASE("a vocabulary below 265 has no tokenizer", "[engine][synthesize]") {
  const TempDir base;
  save_checkpoint(synthesize_checkpoint("d1,vocab_size=264"), base.path(), "d2", 0);
  CHECK_FALSE(fs::exists(base / "tokenizer"));
}

// The contents of a pickled tiktoken.Encoding.
EncodingData read_encoding(const std::string& pickle) {
  const auto root =
      read_pickle(pickle, "tokenizer.pkl", [](std::string_view name) { return name == "tiktoken.core.Encoding"; });
  EncodingData data;
  for (const auto& [key, value] : root->get<PickleObject>()->state->get<PickleDict>()->items) {
    const auto& name = *key->get<std::string>();
    if (name == "name") data.name = *value->get<std::string>();
    if (name == "pat_str") data.pattern = *value->get<std::string>();
    if (name == "mergeable_ranks") {
      for (const auto& [token, rank] : value->get<PickleDict>()->items)
        data.ranks.push_back(token->get<PickleBytes>()->data);
    }
    if (name == "special_tokens") {
      for (const auto& [token, id] : value->get<PickleDict>()->items)
        data.specials.emplace_back(*token->get<std::string>(), *id->get<int64_t>());
    }
  }
  return data;
}

TEST_CASE("a real tokenizer written again is the same file, byte for byte", "[engine][synthesize][golden]") {
  // 322 tokens in one batch of the pickler, and 2039 in three.
  const auto file = GENERATE(as<std::string>(), generation_path("head/tokenizer/tokenizer.pkl"),
                             testing::source_path("configs/checkpoints/demo-d4/tokenizer/tokenizer.pkl"));
  CAPTURE(file);
  const std::string real = read_bytes(file);
  const auto encoding = read_encoding(real);
  CHECK((pickle_encoding(encoding) == real));
  const auto ours = byte_encoding(331);
  CHECK(ours.name == encoding.name);
  CHECK(ours.pattern == encoding.pattern);
  for (size_t i = 0; i < 9; ++i) CHECK(ours.specials[i].first == encoding.specials[i].first);
}

TEST_CASE("every token of a byte tokenizer is a byte or the merge of two before it", "[engine][synthesize]") {
  const auto vocab_size = GENERATE(265, 331, 32768, 70000);  // bytes only; some pairs; many; all pairs and some triples
  CAPTURE(vocab_size);
  const auto encoding = read_encoding(pickle_encoding(byte_encoding(vocab_size)));
  REQUIRE(encoding.ranks.size() == static_cast<size_t>(vocab_size) - 9);
  std::map<std::string, size_t> ranks;
  size_t bad = 0;
  for (size_t i = 0; i < encoding.ranks.size(); ++i) {
    const auto& token = encoding.ranks[i];
    const bool merged = token.size() > 1 && ranks.count(token.substr(0, token.size() - 1)) &&
                        ranks.count(token.substr(token.size() - 1));
    const bool byte = i < 256 && token == std::string(1, static_cast<char>(i));
    bad += !(byte || merged) || !ranks.emplace(token, i).second;
  }
  CHECK(bad == 0);
  CHECK(encoding.specials.front() == std::pair<std::string, int64_t>("<|bos|>", vocab_size - 9));
  CHECK(encoding.specials.back() == std::pair<std::string, int64_t>("<|output_end|>", vocab_size - 1));
}

}  // namespace
}  // namespace kvproof
