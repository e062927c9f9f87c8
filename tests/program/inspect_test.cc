// kvproof inspect and synthesize: what a checkpoint is, and one that is made up.
#include "tests/program/program.h"

using namespace kvproof::testing;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

Json inspect(const std::vector<std::string>& words) {
  const auto run = run_kvproof(std::vector<std::string>{"inspect", "--format", "json"} + words);
  CAPTURE(words, run.err);
  REQUIRE(run.code == 0);
  return run.json();
}

std::vector<std::string> golden_flags(const std::string& generation) {
  return {"--base-dir", source_path("harness/verify/vectors/generations/" + generation)};
}

}  // namespace

TEST_CASE("inspect says what the embedded model is and what a token costs", "[program]") {
  const auto document = inspect(demo_flags() + std::vector<std::string>{"--depth", "0"});
  CHECK(document["checkpoint"]["source"] == "sft");
  CHECK(document["checkpoint"]["tag"] == "d4");
  CHECK(document["checkpoint"]["step"] == 160);
  CHECK(document["checkpoint"]["val_bpb"].is_null());
  CHECK(document["tokenizer"]["vocab_size"] == 2048);
  CHECK(document["config"] == Json{{"sequence_len", 512},
                                   {"vocab_size", 2048},
                                   {"n_layer", 4},
                                   {"n_head", 4},
                                   {"n_kv_head", 4},
                                   {"n_embd", 256},
                                   {"window_pattern", "SSSL"}});
  CHECK(document["generation"]["name"] == "head");
  CHECK_THAT(document["generation"]["reason"].get<std::string>(), Catch::Matchers::Contains("smear_gate.weight"));
  CHECK(document["architecture"]["windows"] ==
        Json{128, 128, 128, 512});  // ceil(ceil(512 / 4) / 128) · 128, then sequence_len
  CHECK(document["architecture"]["rope_base"] == 100000.0);
  CHECK(document["architecture"]["qk_scale"] == 1.2);
  CHECK(document["architecture"]["rotary_len"] == 5120);
  // Keys and values of 4 layers, 4 heads of 64 channels, 4 bytes each.
  CHECK(document["cost"]["kv_bytes_per_token"] == 2 * 4 * 4 * 64 * 4);
  CHECK(document["cost"]["dtype"] == "float32");
  // wte, lm_head and two value embeddings of 2048 · 256; per layer four 256 · 256 matrices and an MLP of 2 · 4 · 256 · 256.
  CHECK(document["parameters"]["embedding"] == 3 * 2048 * 256);
  CHECK(document["parameters"]["total"].get<int64_t>() >= 4 * 2048 * 256 + 4 * 12 * 256 * 256);
}

TEST_CASE("deeper tokens cost more, up to the windows", "[program]") {
  const auto flops = [](const std::string& depth) {
    return inspect(demo_flags() + std::vector<std::string>{"--depth", depth})["cost"]["flops_per_token"].get<double>();
  };
  // 2 multiply-adds of 2 FLOPs for each key, head and channel: 4 · 256 per key and layer.
  CHECK(flops("1") - flops("0") == 4 * 4 * 256);  // one more key in each of four layers
  CHECK(flops("301") - flops("300") == 4 * 256);  // past the three short windows
  CHECK(flops("601") - flops("600") == 0);        // past the long one too
  const auto prefill = [](const std::string& depth) {
    return inspect(demo_flags() + std::vector<std::string>{"--depth", depth})["cost"]["prefill_flops"].get<double>();
  };
  CHECK(prefill("2") - prefill("1") == flops("1") - 2 * 2048 * 256);  // logits of the last token only
}

TEST_CASE("a checkpoint that fits two generations of the code says so, and what to try", "[program]") {
  const auto document = inspect(golden_flags("2026-02"));
  const auto said = document["generation"]["ambiguities"].dump();
  CHECK_THAT(said, Catch::Matchers::Contains("softcap=20"));
  CHECK_THAT(said, Catch::Matchers::Contains("rope_table_dtype"));
  CHECK(document["architecture"]["softcap"] == 15.0);
  const auto overridden =
      inspect(golden_flags("2026-02") + std::vector<std::string>{"--arch", "softcap=20,rope_table_dtype=float32"});
  CHECK(overridden["architecture"]["softcap"] == 20.0);
  CHECK(overridden["architecture"]["rope_table_dtype"] == "float32");
}

TEST_CASE("unlimited attention is a window of null", "[program]") {
  CHECK(inspect(golden_flags("2025-10"))["architecture"]["windows"] == Json{nullptr, nullptr, nullptr, nullptr});
}

TEST_CASE("for people inspect is lines with labels", "[program]") {
  const auto run = run_kvproof(std::vector<std::string>{"inspect"} + demo_flags());
  CHECK(run.code == 0);
  CHECK_THAT(run.out, Catch::Matchers::Contains("  sequence_len                512\n"));
  CHECK_THAT(run.out, Catch::Matchers::Contains("  windows                     128, 128, 128, 512\n"));
  CHECK_THAT(run.out, Catch::Matchers::Contains("  depth                       511\n"));
}

TEST_CASE("a synthesized checkpoint is found, read and the same as the one in memory", "[program]") {
  const TempDir temp;
  const std::string spec = "d2,vocab_size=300,n_embd=64,n_head=2,n_kv_head=1,sequence_len=32,seed=3";
  const auto written =
      run_kvproof({"synthesize", spec, "--out", temp / "made", "--tag", "tiny", "--step", "7", "--format", "json"});
  CAPTURE(written.err);
  REQUIRE(written.code == 0);
  CHECK(written.json() == Json{{"base_dir", temp / "made"},
                               {"source", "base"},
                               {"tag", "tiny"},
                               {"step", 7},
                               {"model", temp / "made/base_checkpoints/tiny/model_000007.pt"},
                               {"meta", temp / "made/base_checkpoints/tiny/meta_000007.json"}});
  CHECK(fs::exists(temp / "made/base_checkpoints/tiny/model_000007.pt"));

  const std::vector<std::string> flags = {"generate", "--format", "json",       "--prompt-tokens", "1,2,3",
                                          "--stop",   "off",      "--no-tools", "--max-tokens",    "8"};
  const auto from_files = run_kvproof(flags + std::vector<std::string>{"--base-dir", temp / "made"}).json();
  const auto from_memory = run_kvproof(flags + std::vector<std::string>{"--synthetic", spec}).json();
  CHECK(from_files["rows"][0]["tokens"] == from_memory["rows"][0]["tokens"]);
  CHECK(from_files["rows"][0]["text"].is_string());  // a small tokenizer is written with it
}
