// The oracle by hand: two channels, its table, what it refuses, what it includes.
#include "harness/verify/oracle.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <regex>

#include "engine/error.h"
#include "tests/support/catch.h"
#include "tests/support/distance.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

// Two channels, one head, one layer of zeros but for what a test puts in; three tokens: (3, 4), (1, 0), (0, 1).
OracleModel hand_model(std::map<std::string, std::vector<double>> nonzero = {}) {
  OracleModel model;
  model.generation = "2025-10/2025-12";
  model.sequence_len = 4;
  model.vocab_size = 3;
  model.n_layer = model.n_head = model.n_kv_head = 1;
  model.n_embd = 2;
  nonzero["transformer.wte.weight"] = {3, 4, 1, 0, 0, 1};
  nonzero["lm_head.weight"] = {1, 0, 0, 1, 30, 30, 9, 9};  // the last row is padding
  model.tensor = [nonzero](const std::string& name) {
    const bool is_fc = name.find("c_fc") != std::string::npos, is_down = name.find("mlp.c_proj") != std::string::npos;
    OracleTensor t{is_fc     ? std::vector<int64_t>{8, 2}
                   : is_down ? std::vector<int64_t>{2, 8}
                             : std::vector<int64_t>{2, 2},
                   {}};
    t.values.assign(static_cast<std::size_t>(t.shape[0] * t.shape[1]), 0.0);
    if (const auto found = nonzero.find(name); found != nonzero.end()) {
      t.values = found->second;
      t.shape[0] = static_cast<int64_t>(t.values.size()) / t.shape[1];
    }
    return t;
  };
  return model;
}

const std::vector<double> kIdentity = {1, 0, 0, 1};

}  // namespace

TEST_CASE("layers of zeros leave the normed embedding, the head and its softcap", "[oracle]") {
  const OracleTrace trace = run_oracle(hand_model(), {0}, {0});
  REQUIRE(trace.logits.size() == 1);
  REQUIRE(trace.logits[0].size() == 3);  // (3, 4) / sqrt(12.5) = (0.848528, 1.131371)
  CHECK(trace.embedded[0] == Approx(0.848528).margin(1e-6));
  CHECK(trace.logits[0][0] == Approx(15 * std::tanh(0.848528 / 15)).margin(1e-6));
  CHECK(trace.logits[0][1] == Approx(15 * std::tanh(1.131371 / 15)).margin(1e-6));
  CHECK(trace.logits[0][2] == Approx(15 * std::tanh(2 * 1.979899)).margin(1e-6));
}

TEST_CASE("a window of w means w + 1 keys, the query's own among them", "[oracle]") {
  const OracleModel model = hand_model({{"transformer.h.0.attn.c_v.weight", kIdentity}});
  OracleConstants constants = oracle_constants(model);
  const double root2 = std::sqrt(2.0);  // queries are zero, so that attention is the mean of what it sees
  const std::vector<int32_t> ids = {1, 1, 2};
  const auto attention_at_last = [&](std::optional<int64_t> window) {
    constants.windows = {window};
    const auto all = run_oracle(model, constants, ids, {}).layers[0].attention;
    return std::vector<double>(all.end() - 2, all.end());
  };
  CHECK(max_abs(attention_at_last(0), {0, root2}) < 1e-6);
  CHECK(max_abs(attention_at_last(1), {root2 / 2, root2 / 2}) < 1e-6);
  CHECK(max_abs(attention_at_last(2), {2 * root2 / 3, root2 / 3}) < 1e-6);
  CHECK(max_abs(attention_at_last(std::nullopt), {2 * root2 / 3, root2 / 3}) < 1e-6);
}

TEST_CASE("the mlp squares what is positive", "[oracle]") {
  const OracleModel model =
      hand_model({{"transformer.h.0.mlp.c_fc.weight", {2, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
                  {"transformer.h.0.mlp.c_proj.weight", {1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}});
  const auto residual = run_oracle(model, {1}, {}).layers[0].residual;  // x = (√2, 0); hidden = (2√2, −√2)
  CHECK(max_abs(residual, {std::sqrt(2.0) + 8, 0}) < 1e-5);
}

TEST_CASE("the mlp has as many hidden units as the sizes say", "[oracle]") {
  OracleModel model = hand_model();
  model.n_inner = 3;
  model.tensor = [stored = model.tensor](const std::string& name) -> OracleTensor {
    if (name == "transformer.h.0.mlp.c_fc.weight") return {{3, 2}, {2, 0, -1, 0, 3, 0}};
    if (name == "transformer.h.0.mlp.c_proj.weight") return {{2, 3}, {1, 1, 0, 0, 0, 1}};
    return stored(name);
  };
  const auto residual = run_oracle(model, {1}, {}).layers[0].residual;  // x = (√2, 0); hidden = (2√2, −√2, 3√2)
  CHECK(max_abs(residual, {std::sqrt(2.0) + 8, 18}) < 1e-5);
  // Matrices: q and proj 2 · 4, k and v 2 · 4, mlp 2 · 6; one pair of 2 channels for q·k and v; logits 3 · 2.
  CHECK(oracle_flops(model, 1) == 2 * (8 + 8 + 12) + 4 * 1 * 2 + 2 * 6);
  model.n_inner = 0;
  CHECK_THROWS_WITH(run_oracle(model, {0}, {}),
                    "oracle: transformer.h.0.mlp.c_fc.weight: expected shape (8, 2), found (3, 2) with 6 values");
}

TEST_CASE("without a softcap logits are the head's own", "[oracle]") {
  OracleModel model = hand_model();
  model.overrides["softcap"] = "none";
  const OracleTrace trace = run_oracle(model, {0}, {0});
  CHECK(max_abs(trace.logits[0], {0.848528, 1.131371, 30 * 1.979899}) < 1e-4);
}

TEST_CASE("rotary tables are rounded as the dtype says, by name or as the compute dtype", "[oracle]") {
  using Round = std::function<double(float)>;
  const auto [dtype, round] = GENERATE(table<std::string, Round>({
      {"float64", [](float x) { return double{x}; }},
      {"float32", [](float x) { return double{x}; }},
      {"bfloat16", [](float x) { return static_cast<double>(c10::BFloat16(x)); }},
      {"float16", [](float x) { return static_cast<double>(c10::Half(x)); }},
  }));
  const bool by_name = GENERATE(true, false);
  CAPTURE(dtype, by_name);
  OracleModel model = hand_model({{"transformer.h.0.attn.c_k.weight", kIdentity}});
  model.overrides["rope_table_dtype"] = by_name ? dtype : "compute";
  if (!by_name) model.compute_dtype = dtype;
  const auto k = run_oracle(model, std::vector<int32_t>(40, 1), {}).layers[0].k;
  for (std::size_t t = 0; t < 40; ++t) {  // token 1 is (√2, 0), turned by t and normed
    const double angle = static_cast<double>(t);
    const double cosine = round(static_cast<float>(std::cos(angle))), sine = round(static_cast<float>(std::sin(angle)));
    CHECK(k[2 * t + 1] / k[2 * t] == Approx(-sine / cosine).epsilon(1e-12).margin(1e-300));
  }
}

TEST_CASE("values that are not numbers come through to the logits", "[oracle]") {
  const double nan = std::nan("");
  const OracleModel model =
      hand_model({{"transformer.h.0.mlp.c_fc.weight", {nan, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
                  {"transformer.h.0.mlp.c_proj.weight", std::vector<double>(16, 1.0)}});
  CHECK(std::isnan(run_oracle(model, {1}, {0}).logits[0][0]));
}

TEST_CASE("the cost counts matrices, the keys each query sees, and logits", "[oracle]") {
  OracleModel model = hand_model();
  CHECK(oracle_flops(model, 3) == 2 * 3 * 48 + 4 * 6 * 2 + 2 * 2 * 3);  // 1 + 2 + 3 keys
  CHECK(oracle_flops(model, 3, 2) == 2 * 3 * 48 + 4 * 6 * 2 + 4 * 2 * 3);
  model.window_pattern = "L";
  model.sequence_len = 1;  // 1 + 2 + 2 keys
  CHECK(oracle_flops(model, 3, 0) == 2 * 3 * 48 + 4 * 5 * 2);
}

// --- the table ------------------------------------------------------------------------------------------------------

namespace {

OracleModel sized(const std::string& generation, int64_t sequence_len, std::optional<std::string> window_pattern) {
  OracleModel model;
  model.generation = generation;
  model.sequence_len = sequence_len;
  model.vocab_size = 331;
  model.n_layer = 6;
  model.n_head = 4;
  model.n_kv_head = 2;
  model.n_embd = 64;
  model.window_pattern = std::move(window_pattern);
  return model;
}

std::string windows_text(const OracleConstants& constants) {
  std::string text;
  for (const auto& window : constants.windows) text += (window ? std::to_string(*window) : "-") + " ";
  return text;
}

}  // namespace

TEST_CASE("windows follow the generation's rule, the tiled pattern and the long last layer", "[oracle]") {
  const auto [generation, sequence_len, pattern, expected] =
      GENERATE(table<std::string, int64_t, std::string, std::string>({
          {"2026-01", 2048, "SSSL", "1024 1024 1024 2048 1024 2048 "},
          {"2026-02", 501, "SSSL", "250 250 250 501 250 501 "},
          {"2026-03a", 2048, "SSSL", "768 768 768 2048 768 2048 "},  // ceil(683 / 128) = 6 blocks
          {"2026-03a", 500, "s", "256 256 256 256 256 500 "},
          {"2026-03b", 2048, "SL", "512 2048 512 2048 512 2048 "},
          {"head", 513, "Ssl", "256 256 513 256 256 513 "},  // ceil(129 / 128) = 2 blocks
          {"head", 512, "L", "512 512 512 512 512 512 "},
          {"head", 512, "none", "- - - - - - "},
          {"2025-10", 512, "L", "512 512 512 512 512 512 "},
      }));
  CAPTURE(generation, sequence_len, pattern);
  CHECK(windows_text(oracle_constants(sized(generation, sequence_len, pattern))) == expected);
}

TEST_CASE("without a pattern attention is unlimited", "[oracle]") {
  const std::string generation = GENERATE("2025-10", "2025-12", "2025-10/2025-12", "2026-01", "head");
  CHECK(windows_text(oracle_constants(sized(generation, 512, std::nullopt))) == "- - - - - - ");
}

TEST_CASE("overrides win over the generation and the meta file", "[oracle]") {
  OracleModel model = sized("2026-02", 512, "SSSL");
  model.overrides = {
      {"rope_base", "2e5"}, {"qk_scale", "1.25"},     {"window_pattern", "SL"},        {"short_window", "7"},
      {"softcap", "20"},    {"ve_gate_scale", "2.5"}, {"rope_table_dtype", "float16"}, {"norm_eps", "1e-6"}};
  const OracleConstants c = oracle_constants(model);
  CHECK(c.rope_base == 2e5);
  CHECK(c.qk_scale == 1.25);
  CHECK(windows_text(c) == "7 512 7 512 7 512 ");
  CHECK(c.softcap == 20);
  CHECK(c.ve_gate_scale == 2.5);
  CHECK(c.rope_table_dtype == "float16");
  CHECK(c.norm_eps == 1e-6);
  model.overrides = {{"generation", "2026-03a"}};
  CHECK(oracle_constants(model).qk_scale == 1.15);
  model.overrides = {{"window_pattern", "none"}};
  CHECK(windows_text(oracle_constants(model)) == "- - - - - - ");
}

TEST_CASE("transformers' NanoChat has its own eps and tables, and the rest from its config.json", "[oracle]") {
  OracleModel model = sized("huggingface", 512, std::nullopt);
  const OracleConstants by_default = oracle_constants(model);
  CHECK(by_default.norm_eps == 1e-6);
  CHECK(by_default.rope_base == 10000);
  CHECK(by_default.softcap == 15);
  CHECK(by_default.qk_scale == 1);
  CHECK(by_default.rope_table_dtype == "float64");  // compute, and the compute dtype is float64
  CHECK_FALSE(by_default.has_lambdas);
  CHECK(by_default.ve_gate_channels + by_default.smear_channels == 0);
  CHECK(windows_text(by_default) == "- - - - - - ");
  model.overrides = {{"norm_eps", "3e-06"}, {"rope_base", "20000"}, {"softcap", "12"}};
  CHECK(oracle_constants(model).norm_eps == 3e-6);
  CHECK(oracle_constants(model).rope_base == 20000);
  CHECK(oracle_constants(model).softcap == 12);
}

// --- what it refuses ------------------------------------------------------------------------------------------------

TEST_CASE("what does not fit is refused with its place", "[oracle]") {
  using Change = std::function<void(OracleModel&)>;
  const auto [message, change] = GENERATE(table<std::string, Change>({
      {"oracle.generation: expected one of 2025-10, 2025-12, 2025-10/2025-12, 2026-01, 2026-02, 2026-03a, 2026-03b, "
       "head, found "
       "'2024'",
       [](OracleModel& m) { m.generation = "2024"; }},
      {"oracle.soft_cap: no such override; known are generation, rope_base, qk_scale, window_pattern, short_window, "
       "softcap, "
       "ve_gate_scale, rope_table_dtype and norm_eps",
       [](OracleModel& m) { m.overrides["soft_cap"] = "20"; }},
      {"oracle.softcap: expected a number above 0, found '20x'",
       [](OracleModel& m) { m.overrides["softcap"] = "20x"; }},
      {"oracle.softcap: expected a number above 0, found '0'", [](OracleModel& m) { m.overrides["softcap"] = "0"; }},
      {"oracle.norm_eps: expected a number of at least 0, found 'nan'",
       [](OracleModel& m) { m.overrides["norm_eps"] = "nan"; }},
      {"oracle.short_window: expected a whole number up to 1e12, found '1.5'",
       [](OracleModel& m) { m.overrides["short_window"] = "1.5"; }},
      {"oracle.window_pattern: expected the letters S and L, or none, found 'SXL'",
       [](OracleModel& m) { m.window_pattern = "SXL"; }},
      {"oracle.window_pattern: expected the letters S and L, or none, found ''",
       [](OracleModel& m) { m.window_pattern = ""; }},
      {"oracle.window_pattern: expected no S, or a short_window beside it, in a generation without windows, found 'SL'",
       [](OracleModel& m) { m.generation = "2025-10", m.window_pattern = "SL"; }},
      {"oracle.rope_table_dtype: expected float64, float32, bfloat16 or float16, found 'int8'",
       [](OracleModel& m) { m.overrides["rope_table_dtype"] = "int8"; }},
      {"oracle.compute_dtype: expected float64, float32, bfloat16 or float16, found 'half'",
       [](OracleModel& m) { m.compute_dtype = "half"; }},
      {"oracle.n_layer: expected at least 1, found '0'", [](OracleModel& m) { m.n_layer = 0; }},
      {"oracle.n_embd: expected an even number of channels per head, found '60'",
       [](OracleModel& m) { m.n_embd = 60; }},
      {"oracle.n_kv_head: expected a divisor of n_head, found '3'", [](OracleModel& m) { m.n_kv_head = 3; }},
      {"oracle.n_inner: expected at least 1, or 0 for 4 * n_embd, found '-1'", [](OracleModel& m) { m.n_inner = -1; }},
  }));
  OracleModel model = sized("head", 512, "SSSL");
  change(model);
  CHECK_THROWS_WITH(oracle_constants(model), message);
}

TEST_CASE("a request that does not fit is refused before any weight is read", "[oracle]") {
  OracleModel model = hand_model();
  model.tensor = [](const std::string&) -> OracleTensor { throw std::logic_error("read"); };
  CHECK_THROWS_WITH(run_oracle(model, {}, {}), "oracle.ids: expected at least one token, found none");
  CHECK_THROWS_WITH(run_oracle(model, {0, 3}, {}), "oracle.ids: expected ids below vocab_size 3, found 3");
  CHECK_THROWS_WITH(run_oracle(model, {0, -1}, {}), "oracle.ids: expected ids below vocab_size 3, found -1");
  CHECK_THROWS_WITH(run_oracle(model, {0, 1}, {2}), "oracle.logit_positions: expected positions below 2, found 2");
  CHECK_THROWS_AS(run_oracle(model, std::vector<int32_t>(41, 0), {}), CapacityError);
  CHECK_THROWS_WITH(run_oracle(model, std::vector<int32_t>(41, 0), {}),
                    "oracle.ids: expected at most 40 tokens (10 * sequence_len), found 41");
  CHECK_THROWS_AS(run_oracle(model, std::vector<int32_t>(40, 0), {}), std::logic_error);  // fits: the weights are next
  OracleConstants constants = oracle_constants(model);
  constants.windows.clear();
  CHECK_THROWS_WITH(run_oracle(model, constants, {0}, {}), "oracle.windows: expected one per layer, 1, found 0");
  model.generation = "head";
  CHECK_THROWS_WITH(run_oracle(model, {0}, {}),
                    "oracle.n_embd: expected at least 24, the channels that this generation's gates read, found 2");
}

TEST_CASE("a weight of another shape is refused by name", "[oracle]") {
  OracleModel model = hand_model({{"transformer.h.0.attn.c_k.weight", {1, 0, 0, 1, 1, 1}}});
  CHECK_THROWS_AS(run_oracle(model, {0}, {}), CheckpointError);
  CHECK_THROWS_WITH(run_oracle(model, {0}, {}),
                    "oracle: transformer.h.0.attn.c_k.weight: expected shape (2, 2), found (3, 2) with 6 values");
  model.vocab_size = 5;
  CHECK_THROWS_WITH(run_oracle(model, {0}, {}),
                    "oracle: transformer.wte.weight: expected shape (5, 2), found (3, 2) with 6 values");
}

// --- its independence -----------------------------------------------------------------------------------------------

TEST_CASE("the oracle includes nothing of the engine but its errors", "[oracle]") {
  std::vector<std::string> found;
  for (const std::string file : {"oracle.h", "oracle.cc", "oracle_constants.cc"}) {
    std::ifstream in(source_path("harness/verify/" + file));
    REQUIRE(in);
    const std::regex include("\\s*#\\s*include\\s*[<\"]([^>\"]*)[>\"].*");
    for (std::string line; std::getline(in, line);) {
      std::smatch match;
      const bool is_include = std::regex_match(line, match, include);
      CHECK((is_include || line.find("include") == std::string::npos || line.find("//") != std::string::npos));
      // The standard library's headers have no dot and no folder.
      if (is_include && match[1].str().find_first_of("./") != std::string::npos)
        found.push_back(file + ": " + match[1].str());
    }
  }
  CHECK(found == std::vector<std::string>{"oracle.cc: harness/verify/oracle.h", "oracle.cc: engine/error.h",
                                          "oracle_constants.cc: engine/error.h",
                                          "oracle_constants.cc: harness/verify/oracle.h"});
}
