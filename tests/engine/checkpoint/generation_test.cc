#include "engine/checkpoint/generation.h"

#include <ATen/ops/zeros.h>

#include <cmath>
#include <functional>

#include "tests/engine/checkpoint/support.h"

namespace kvproof {
namespace {

using testing::fault_of;

ModelDims small_dims() { return {512, 100, 3, 4, 2, 64, "SSSL"}; }

StateDict tensors_of(const std::string& generation, const ModelDims& dims, int64_t rows = 128) {
  ModelDims padded = dims;
  padded.vocab_size = rows;
  StateDict tensors;
  for (const auto& [name, shape] : expected_tensors(architecture_of(generation, dims), padded)) {
    tensors[name] = at::zeros(shape, at::kFloat);
  }
  return tensors;
}

Architecture infer(const ModelDims& dims, const StateDict& tensors, const ArchitectureOverrides& overrides = {},
                   Inference* inference = nullptr) {
  return infer_architecture(dims, tensors, "model.pt", overrides, inference);
}

TEST_CASE("each generation has the constants of its time", "[engine][generation]") {
  ModelDims dims = small_dims();
  dims.sequence_len = 1000;  // no multiple of 128, 3 or 4: ceil(1000/3) = 334, ceil(1000/4) = 250
  struct Row {
    std::string name;
    double rope_base, qk_scale;
    int64_t short_window;
    bool lambdas, value_embeds, smear;
    int64_t gate_channels;
    double gate_scale;
    std::string table;
  };
  const std::vector<Row> rows = {
      {"2026-01", 10000, 1, 500, true, false, false, 0, 0, "bfloat16"},
      {"2026-02", 10000, 1, 500, true, true, false, 32, 2, "bfloat16"},
      {"2026-03a", 100000, 1.15, 384, true, true, false, 12, 3, "compute"},
      {"head", 100000, 1.2, 256, true, true, true, 12, 3, "compute"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const auto a = infer(dims, tensors_of(row.name, dims));  // out of the keys alone
    CHECK(a.generation == row.name);
    CHECK(a.rope_base == row.rope_base);
    CHECK(a.qk_scale == row.qk_scale);
    CHECK(a.window_pattern == "SSSL");
    CHECK(a.short_window == row.short_window);
    CHECK(a.long_window == 1000);
    CHECK(a.softcap == 15);
    CHECK(a.has_lambdas == row.lambdas);
    CHECK(a.has_value_embeds == row.value_embeds);
    CHECK(a.has_smear == row.smear);
    CHECK(a.has_backout == row.smear);
    CHECK(a.ve_gate_channels == row.gate_channels);
    CHECK(a.ve_gate_scale == row.gate_scale);
    CHECK(a.rope_table_dtype == row.table);
    CHECK(a.norm_eps == std::ldexp(1.0, -23));
  }
  CHECK(architecture_of("2026-03b", dims).generation == "head");
}

TEST_CASE("the windows are those of 512, 1024 and 2048 tokens in nanochat", "[engine][generation]") {
  const auto windows = [](const std::string& generation, int64_t sequence_len) {
    ModelDims dims = small_dims();
    dims.sequence_len = sequence_len;
    return architecture_of(generation, dims).short_window;
  };
  CHECK(windows("2026-02", 512) == 256);
  CHECK(windows("2026-02", 1025) == 512);
  CHECK(windows("2026-03a", 512) == 256);
  CHECK(windows("2026-03a", 2048) == 768);
  CHECK(windows("head", 512) == 128);
  CHECK(windows("head", 513) == 256);  // ceil(513/4) = 129
  CHECK(windows("head", 2048) == 512);
}

TEST_CASE("without a window pattern attention is unlimited, and that is said", "[engine][generation]") {
  ModelDims dims = small_dims();
  dims.window_pattern.reset();
  Inference inference;
  const auto a = infer(dims, tensors_of("2026-01", dims), {}, &inference);
  CHECK(a.window_pattern.empty());
  CHECK(a.short_window == kUnlimited);
  CHECK(a.long_window == kUnlimited);
  CHECK(inference.ambiguities ==
        std::vector<std::string>{
            "window_pattern absent or L: the code that trained it had unlimited attention, today's nanochat would read "
            "L, which differs past 512 tokens; assumed unlimited, else --arch window_pattern=L"});
  const auto patched = infer(dims, tensors_of("2026-01", dims), {{"window_pattern", "L"}}, &inference);
  CHECK(patched.long_window == 512);
  CHECK(inference.ambiguities.empty());
}

TEST_CASE("2025-10 and 2025-12 are told apart by padded rows, where they can be", "[engine][generation]") {
  ModelDims dims = small_dims();
  dims.window_pattern.reset();
  Inference inference;
  CHECK(infer(dims, tensors_of("2025-10", dims, 100), {}, &inference).generation == "2025-10");
  CHECK(inference.reason == "there is no resid_lambdas, and wte is not padded to a multiple of 64");
  CHECK(infer(dims, tensors_of("2025-12", dims, 128), {}, &inference).generation == "2025-12");
  CHECK(inference.reason == "there is no resid_lambdas, and wte has 128 rows for a vocabulary of 100");
  dims.vocab_size = 128;
  CHECK(infer(dims, tensors_of("2025-12", dims, 128), {}, &inference).generation == "2025-10/2025-12");
  CHECK(inference.reason ==
        "there is no resid_lambdas; the two are the same, and vocab_size is a multiple of 64, so padding cannot tell");
}

TEST_CASE("what 2026-02's keys cannot tell is said, unless it was asked for", "[engine][generation]") {
  const auto dims = small_dims();
  Inference inference;
  infer(dims, tensors_of("2026-02", dims), {}, &inference);
  CHECK(
      inference.ambiguities ==
      std::vector<std::string>{
          "softcap 15 or 20: nanochat had 20 from 2026-03-02 to 2026-03-09 with the same keys; assumed 15, else --arch "
          "softcap=20",
          "rope_table_dtype bfloat16 or compute: nanochat changed it on 2026-03-04 with the same keys; assumed "
          "bfloat16, else --arch rope_table_dtype=compute"});
  const auto a =
      infer(dims, tensors_of("2026-02", dims), {{"softcap", "20"}, {"rope_table_dtype", "float32"}}, &inference);
  CHECK(a.softcap == 20);
  CHECK(a.rope_table_dtype == "float32");
  CHECK(inference.ambiguities.empty());
}

TEST_CASE("value embeddings lie on every other layer, the last one included", "[engine][generation]") {
  ModelDims dims = small_dims();
  const auto layers = [&](int64_t n_layer) {
    dims.n_layer = n_layer;
    std::string found;
    const auto shapes = expected_tensors(architecture_of("head", dims), dims);
    for (int64_t i = 0; i < n_layer; ++i)
      found += shapes.count("value_embeds." + std::to_string(i) + ".weight") ? '1' : '0';
    return found;
  };
  CHECK(layers(1) == "1");
  CHECK(layers(3) == "101");
  CHECK(layers(4) == "0101");
}

TEST_CASE("overrides win over what was inferred", "[engine][generation]") {
  const auto dims = small_dims();
  const auto a = infer(dims, tensors_of("2026-03a", dims),
                       {{"rope_base", "5e4"},
                        {"qk_scale", "1.5"},
                        {"window_pattern", "ls"},
                        {"short_window", "7"},
                        {"softcap", "30"},
                        {"ve_gate_scale", "2"},
                        {"rope_table_dtype", "float64"},
                        {"norm_eps", "1e-6"},
                        {"generation", "2026-03a"}});
  CHECK(a.rope_base == 50000);
  CHECK(a.qk_scale == 1.5);
  CHECK(a.window_pattern == "LS");
  CHECK(a.short_window == 7);  // whatever the pattern's own would be
  CHECK(a.softcap == 30);
  CHECK(a.ve_gate_scale == 2);
  CHECK(a.rope_table_dtype == "float64");
  CHECK(a.norm_eps == 1e-6);
  CHECK(infer(dims, tensors_of("head", dims), {{"window_pattern", "none"}}).long_window == kUnlimited);
  CHECK(infer(dims, tensors_of("head", dims), {{"softcap", "none"}}).softcap == 0);
  ModelDims old = dims;
  old.window_pattern = "L";  // as HEAD's loader would patch it in
  Inference inference;
  CHECK(infer(old, tensors_of("2025-12", old), {{"generation", "2025-10"}}, &inference).long_window == 512);
  CHECK(inference.reason == "named by architecture.generation");
}

TEST_CASE("an override out of range names its key and what is allowed", "[engine][generation]") {
  const auto dims = small_dims();
  ModelDims old = dims;
  old.window_pattern.reset();
  const std::map<std::pair<std::string, std::string>, std::string> messages = {
      {{"softcap", "0"}, "architecture.softcap: expected a number in [0.001, 1000000000] or none, found '0'"},
      {{"softcap", "nan"}, "architecture.softcap: expected a number in [0.001, 1000000000] or none, found 'nan'"},
      {{"softcap", "20x"}, "architecture.softcap: expected a number in [0.001, 1000000000] or none, found '20x'"},
      {{"softcap", ""}, "architecture.softcap: expected a number in [0.001, 1000000000] or none, found ''"},
      {{"softcap", "0x14"}, "architecture.softcap: expected a number in [0.001, 1000000000] or none, found '0x14'"},
      {{"rope_base", "1e999"}, "architecture.rope_base: expected a number in [1.0001, 1000000000000], found '1e999'"},
      {{"norm_eps", "-1"}, "architecture.norm_eps: expected a number in [0, 1], found '-1'"},
      {{"short_window", "2.5"}, "architecture.short_window: expected a whole number, found '2.5'"},
      {{"window_pattern", "SXL"}, "architecture.window_pattern: expected letters S and L, or none, found 'SXL'"},
      {{"rope_table_dtype", "int8"},
       "architecture.rope_table_dtype: expected one of compute, bfloat16, float16, float32, float64, found 'int8'"},
      {{"generation", "2024"},
       "architecture.generation: expected one of 2025-10, 2025-12, 2025-10/2025-12, 2026-01, 2026-02, 2026-03a, head, "
       "found '2024'"},
      {{"soft_cap", "20"},
       "architecture.soft_cap: unknown key; known are generation, rope_base, qk_scale, window_pattern, short_window, "
       "softcap, ve_gate_scale, rope_table_dtype, norm_eps"},
  };
  for (const auto& [override, message] : messages) {
    CAPTURE(override.first, override.second);
    CHECK(fault_of([&, o = override] { infer(dims, tensors_of("head", dims), {o}); }) == "argument| " + message);
  }
  const std::string none =
      "window_pattern SL has short windows, but generation 2025-12 has none; add --arch short_window=N";
  CHECK(fault_of([&] {
          infer(old, tensors_of("2025-12", old), {{"window_pattern", "SL"}});
        }) == "argument| architecture.window_pattern: " + none);
  CHECK(infer(old, tensors_of("2025-12", old), {{"window_pattern", "SL"}, {"short_window", "9"}}).short_window == 9);
  old.window_pattern = "sl";
  CHECK(fault_of([&] { infer(old, tensors_of("2025-12", old)); }) == "checkpoint| model.pt: " + none);
}

TEST_CASE("tensors that do not fit a generation are named, with what was expected", "[engine][generation]") {
  const auto dims = small_dims();
  const auto fault = [&](const std::string& generation, const std::function<void(StateDict&)>& change) {
    auto tensors = tensors_of(generation, dims);
    change(tensors);
    return fault_of([&] { infer(dims, tensors); });
  };
  const std::string next = "; check model_config in the meta file, or name the generation with --arch generation=…";
  const std::string head =
      "checkpoint| model.pt: its tensors do not fit generation head (smear_gate.weight is present): ";
  const std::string designs = "checkpoint| model.pt: an experimental design of nanochat that is not supported: ";
  const std::string other = "; use a checkpoint of another commit";
  const auto zeros = [](std::vector<int64_t> shape, at::ScalarType dtype = at::kFloat) {
    return at::zeros(shape, dtype);
  };
  CHECK(fault("head", [](auto& t) { t.erase("transformer.h.1.attn.c_k.weight"); }) ==
        head + "transformer.h.1.attn.c_k.weight is missing" + next);
  CHECK(fault("head", [&](auto& t) { t["extra\n"] = zeros({1}); }) == head + "'extra\\x0a' is unknown" + next);
  CHECK(fault("head", [&](auto& t) {
          t["lm_head.weight"] = zeros({99, 64});
        }) == head + "lm_head.weight has shape (99, 64), expected (100, 64) or more rows" + next);
  CHECK(fault("head", [&](auto& t) { t["smear_lambda"] = zeros({}); }) ==
        head + "smear_lambda has shape (), expected (1,)" + next);
  CHECK(fault("head", [&](auto& t) { t["resid_lambdas"] = zeros({3}, at::kLong); }) ==
        head + "resid_lambdas has dtype int64, expected floating point" + next);
  CHECK(fault("head", [&](auto& t) {
          t.erase("x0_lambdas");
          for (const auto* name : {"a", "b", "c", "d", "e"}) t[name] = zeros({1});
        }) == head + "x0_lambdas is missing, 'a' is unknown, 'b' is unknown, 'c' is unknown and 2 more" + next);
  // value embeddings on a layer that should have none
  CHECK(fault("2026-03a",
              [&](auto& t) {
                t["value_embeds.1.weight"] = zeros({128, 32});
              }) ==
        "checkpoint| model.pt: its tensors do not fit generation 2026-03a (ve_gate.weight reads 12 channels, and there "
        "is no "
        "smear_gate.weight): 'value_embeds.1.weight' is unknown" +
            next);
  CHECK(fault("2026-03a",
              [&](auto& t) {
                t["transformer.h.0.attn.ve_gate.weight"] = zeros({2, 16});
              }) ==
        "checkpoint| model.pt: tensor 'transformer.h.0.attn.ve_gate.weight': expected shape (n_kv_head, 12) or "
        "(n_kv_head, 32), found (2, "
        "16); this is no known generation of nanochat");
  CHECK(fault("2026-01", [&](auto& t) {
          t["value_embed_A.weight"] = t["value_embed_B.weight"] = t["v0_lambdas"] = zeros({3});
        }) == designs + "value_embed_A and value_embed_B with v0_lambdas (commit e3f58b8)" + other);
  CHECK(fault("2026-01", [&](auto& t) { t["value_embed.weight"] = t["v0_lambdas"] = zeros({3}); }) ==
        designs + "one value_embed with v0_lambdas (commit 0b58d70)" + other);
  CHECK(fault("2026-01", [&](auto& t) { t["value_embeds.0.weight"] = t["v0_lambdas"] = zeros({3}); }) ==
        designs + "value_embeds on all layers with v0_lambdas and no ve_gate (commit 9a88194)" + other);
  CHECK(fault("2026-02", [&](auto& t) { t["bigram_embed.weight"] = t["bigram_lambdas"] = zeros({3}); }) ==
        designs + "bigram_embed with bigram_lambdas (commits 59e36cc, c8d93be)" + other);
  // a generation named that the keys contradict
  CHECK(fault_of([&] {
          infer(dims, tensors_of("2026-01", dims), {{"generation", "2025-12"}});
        }) ==
        "checkpoint| model.pt: its tensors do not fit generation 2025-12 (named by architecture.generation): "
        "'resid_lambdas' is unknown, "
        "'x0_lambdas' is unknown" +
            next);
  CHECK(fault_of([&] {
          infer(dims, {});
        }).rfind("checkpoint| model.pt: its tensors do not fit generation 2025-10/2025-12", 0) == 0);
}

TEST_CASE("padded and unpadded vocabularies, and mixed dtypes, fit", "[engine][generation]") {
  const auto dims = small_dims();
  const auto rows = GENERATE(100, 104, 128, 512);
  auto tensors = tensors_of("head", dims, rows);
  tensors["lm_head.weight"] = tensors["lm_head.weight"].to(at::kBFloat16);
  tensors["smear_gate.weight"] = tensors["smear_gate.weight"].to(at::kHalf);
  tensors["x0_lambdas"] = tensors["x0_lambdas"].to(at::kDouble);
  CHECK(infer(dims, tensors).generation == "head");
}

TEST_CASE("impossible sizes are errors that name the key", "[engine][generation]") {
  const auto fault = [](const std::function<void(ModelDims&)>& change) {
    ModelDims dims = small_dims();
    change(dims);
    return fault_of([&] { infer(dims, {}); });
  };
  const std::string at = "checkpoint| model.pt: model_config.";
  CHECK(fault([](auto& d) { d.sequence_len = 0; }) == at + "sequence_len: expected 1 to 16777216, found 0");
  CHECK(fault([](auto& d) { d.vocab_size = -1; }) == at + "vocab_size: expected 1 to 16777216, found -1");
  CHECK(fault([](auto& d) { d.n_layer = 5000; }) == at + "n_layer: expected 1 to 4096, found 5000");
  CHECK(fault([](auto& d) { d.n_head = 0; }) == at + "n_head: expected 1 to 4096, found 0");
  CHECK(fault([](auto& d) { d.n_kv_head = 0; }) == at + "n_kv_head: expected 1 to 4096, found 0");
  CHECK(fault([](auto& d) { d.n_embd = 1 << 21; }) == at + "n_embd: expected 1 to 1048576, found 2097152");
  CHECK(fault([](auto& d) { d.n_inner = -1; }) == at + "n_inner: expected 1 to 16777216, found -1");
  CHECK(fault([](auto& d) { d.n_embd = 66; }) == at + "n_embd: expected a multiple of n_head 4, found 66");
  CHECK(fault([](auto& d) { d.n_embd = 60; }) ==
        at + "n_embd: expected an even number of channels per head, which rotary pairs need, found 15");
  CHECK(fault([](auto& d) { d.n_kv_head = 3; }) == at + "n_head: expected a multiple of n_kv_head 3, found 4");
  CHECK(fault([](auto& d) { d.window_pattern = "SSXL"; }) ==
        at + "window_pattern: expected letters S and L, found 'SSXL'");
  CHECK(fault([](auto& d) { d.window_pattern = ""; }) == at + "window_pattern: expected letters S and L, found ''");
  ModelDims narrow = small_dims();
  narrow.n_embd = 16;  // fewer channels than the smear gate reads
  CHECK(fault_of([&] { infer(narrow, tensors_of("head", narrow)); }) ==
        at + "n_embd: expected at least 24, which the gates of generation head read, found 16");
}

}  // namespace
}  // namespace kvproof
