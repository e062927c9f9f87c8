// Sweeps, and --set.
#include "tests/harness/config/config_file.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {
using Ids = std::vector<std::string>;

std::vector<int64_t> swept_tokens(const std::string& values) {
  std::vector<int64_t> tokens;
  for (const Case& c : load_text(kTop + "sweep: {sampler.max_tokens: " + values + "}\n").cases) {
    tokens.push_back(c.sampler.max_tokens);
  }
  return tokens;
}
}  // namespace

TEST_CASE("a sweep is a grid in the order of the file, the first key slowest", "[config]") {
  const LoadedConfig loaded = load_text(kTop + "sweep: {run.dtype: [float32, bfloat16], sampler.top_k: [50, null]}\n");
  CHECK(ids_of(loaded) == Ids{"m/p/run.dtype=float32/sampler.top_k=50", "m/p/run.dtype=float32/sampler.top_k=null",
                              "m/p/run.dtype=bfloat16/sampler.top_k=50", "m/p/run.dtype=bfloat16/sampler.top_k=null"});
  CHECK(loaded.cases[2].run.dtype == "bfloat16");
  CHECK(loaded.cases[2].sampler.top_k == 50);
  CHECK_FALSE(loaded.cases[3].sampler.top_k.has_value());
}

TEST_CASE("checkpoints vary slowest, then prompts, then the sweep", "[config]") {
  CHECK(ids_of(load_text("checkpoints: [{name: m, synthetic: d4}, {name: n, synthetic: d6}]\n"
                         "prompts: [{name: p, text: a}, {name: q, text: b}]\n"
                         "sweep: {sampler.temperature: [0, 0.8]}\n")) ==
        Ids{"m/p/sampler.temperature=0", "m/p/sampler.temperature=0.8", "m/q/sampler.temperature=0",
            "m/q/sampler.temperature=0.8", "n/p/sampler.temperature=0", "n/p/sampler.temperature=0.8",
            "n/q/sampler.temperature=0", "n/q/sampler.temperature=0.8"});
}

TEST_CASE("zipped keys advance together, where the first of them stands", "[config]") {
  const LoadedConfig loaded = load_text(kTop +
                                        "sweep:\n"
                                        "  run.dtype: [float32, bfloat16]\n"
                                        "  sampler.tools: [on, off]\n"
                                        "  run.threads: [auto, 2]\n"
                                        "  zip: [[run.dtype, run.threads]]\n");
  CHECK(ids_of(loaded) == Ids{"m/p/run.dtype=float32/run.threads=auto/sampler.tools=true",
                              "m/p/run.dtype=float32/run.threads=auto/sampler.tools=false",
                              "m/p/run.dtype=bfloat16/run.threads=2/sampler.tools=true",
                              "m/p/run.dtype=bfloat16/run.threads=2/sampler.tools=false"});
  CHECK_FALSE(loaded.cases[0].run.threads.has_value());
  CHECK(loaded.cases[3].run.threads == 2);
}

TEST_CASE("ranges double, step and count", "[config]") {
  CHECK(swept_tokens("64-1024*2") == std::vector<int64_t>{64, 128, 256, 512, 1024});
  CHECK(swept_tokens("64-1000*2") == std::vector<int64_t>{64, 128, 256, 512});
  CHECK(swept_tokens("1-8+3") == std::vector<int64_t>{1, 4, 7});
  CHECK(swept_tokens("1-4") == std::vector<int64_t>{1, 2, 3, 4});
  CHECK(swept_tokens("7-7*2") == std::vector<int64_t>{7});
  CHECK(swept_tokens("[5, 1-3, 8-32*2]") == std::vector<int64_t>{5, 1, 2, 3, 8, 16, 32});
  CHECK(swept_tokens("10-1048576*999999999999999999") == std::vector<int64_t>{10});  // the next would overflow
}

TEST_CASE("a swept prompt length makes a prompt of each length", "[config]") {
  const LoadedConfig loaded = load_text(
      "checkpoints: [{name: m, synthetic: d4}]\n"
      "prompts: [{name: p, synthetic: {length: 9, seed: 5}}, {name: q, synthetic: {}}]\n"
      "sweep: {sampler.seed: [1, 2], prompt.length: [64, 128]}\n");
  CHECK(ids_of(loaded) == Ids{"m/p/sampler.seed=1/prompt.length=64", "m/p/sampler.seed=1/prompt.length=128",
                              "m/p/sampler.seed=2/prompt.length=64", "m/p/sampler.seed=2/prompt.length=128",
                              "m/q/sampler.seed=1/prompt.length=64", "m/q/sampler.seed=1/prompt.length=128",
                              "m/q/sampler.seed=2/prompt.length=64", "m/q/sampler.seed=2/prompt.length=128"});
  REQUIRE(loaded.config.prompts.size() == 4);
  CHECK(loaded.config.prompts[1].name == "p/prompt.length=128");
  CHECK(loaded.config.prompts[1].length == 128);
  CHECK(loaded.config.prompts[1].seed == 5);
  CHECK(loaded.cases[3].prompt == 1);
  CHECK(loaded.cases[6].prompt == 2);
}

TEST_CASE("a swept depth makes a prompt of each depth, beside lengths", "[config]") {
  const LoadedConfig loaded = load_text(
      "checkpoints: [{name: m, synthetic: d4}]\n"
      "prompts: [{name: p, synthetic: {length: 9, depth: 3}}]\n"
      "sweep: {prompt.depth: [0, 512], prompt.length: [1, 16]}\n");
  CHECK(ids_of(loaded) == Ids{"m/p/prompt.depth=0/prompt.length=1", "m/p/prompt.depth=0/prompt.length=16",
                              "m/p/prompt.depth=512/prompt.length=1", "m/p/prompt.depth=512/prompt.length=16"});
  REQUIRE(loaded.config.prompts.size() == 4);
  CHECK(loaded.config.prompts[loaded.cases[3].prompt].depth == 512);
  CHECK(loaded.config.prompts[loaded.cases[3].prompt].length == 16);
  CHECK(loaded.config.prompts[loaded.cases[0].prompt].depth == 0);
}

TEST_CASE("a swept seed makes other tokens of the same length", "[config]") {
  const LoadedConfig loaded = load_text(
      "checkpoints: [{name: m, synthetic: d4}]\n"
      "prompts: [{name: p, synthetic: {length: 9}}]\n"
      "sweep: {prompt.seed: 1-3}\n");
  CHECK(ids_of(loaded) == Ids{"m/p/prompt.seed=1", "m/p/prompt.seed=2", "m/p/prompt.seed=3"});
  CHECK(loaded.config.prompts[loaded.cases[2].prompt].seed == 3);
  CHECK(loaded.config.prompts[loaded.cases[2].prompt].length == 9);
}

TEST_CASE("a sweep wins over the file and over a prompt's own settings", "[config]") {
  const LoadedConfig loaded = load_text(
      "checkpoints: [{name: m, synthetic: d4}]\n"
      "prompts: [{name: p, text: a, run: {dtype: float16, threads: 3}}]\n"
      "run: {dtype: float64}\nsweep: {run.dtype: [float32]}\n");
  CHECK(loaded.cases[0].run.dtype == "float32");
  CHECK(loaded.cases[0].run.threads == 3);
}

TEST_CASE("ten thousand cases are allowed", "[config]") {
  const LoadedConfig loaded = load_text(kTop + "sweep: {sampler.seed: 1-100, sampler.max_tokens: 1-100}\n");
  REQUIRE(loaded.cases.size() == 10000);
  CHECK(loaded.cases[9999].id == "m/p/sampler.seed=100/sampler.max_tokens=100");
}

TEST_CASE("--set wins over the file, over a prompt's own setting, and the last one wins", "[config]") {
  const std::string yaml =
      "checkpoints: [{name: m, synthetic: d4}]\n"
      "prompts: [{name: p, text: a, sampler: {max_tokens: 3, seed: 5}}, {name: q, text: b}]\n"
      "sampler: {max_tokens: 4}\n";
  const auto tokens = [&](const std::vector<std::string>& sets) {
    const LoadedConfig loaded = load_text(yaml, sets);
    CHECK(loaded.cases[0].sampler.seed == 5);
    return std::vector<int64_t>{loaded.cases[0].sampler.max_tokens, loaded.cases[1].sampler.max_tokens};
  };
  CHECK(tokens({}) == std::vector<int64_t>{3, 4});
  CHECK(tokens({"sampler.max_tokens=7"}) == std::vector<int64_t>{7, 7});
  CHECK(tokens({"sampler={max_tokens: 7}"}) == std::vector<int64_t>{7, 7});
  CHECK(tokens({"sampler.max_tokens=7", "sampler.max_tokens=8"}) == std::vector<int64_t>{8, 8});
  CHECK(tokens({"sampler.max_tokens=7", "prompts.0.sampler.max_tokens=8"}) == std::vector<int64_t>{8, 7});
  CHECK(tokens({"prompts.0.sampler.max_tokens=8", "sampler.max_tokens=7"}) == std::vector<int64_t>{7, 7});
  CHECK(tokens({"run.threads=2"}) == std::vector<int64_t>{3, 4});
}

TEST_CASE("--set reaches into lists, maps and sweeps, and its values are YAML", "[config]") {
  const ConfigFolder folder;
  const LoadedConfig loaded =
      load_config(folder.write("checkpoints: [{name: m, base_dir: a}]\nprompts: [{name: p, text: a}]\n"),
                  {"checkpoints.0.base_dir=b", "checkpoints.0.architecture.softcap=20", "prompts.0.text=\"x = 1\"",
                   "sampler.top_k=", "run.threads=auto", "sweep.run.dtype=[float32, float64]"});
  CHECK(loaded.config.checkpoints[0].base_dir == folder.dir() / "b");
  CHECK(loaded.config.checkpoints[0].architecture.at("softcap") == "20");
  CHECK(loaded.config.prompts[0].text == "x = 1");
  CHECK(ids_of(loaded) == Ids{"m/p/run.dtype=float32", "m/p/run.dtype=float64"});
  CHECK(load_text(kTop, {"prompts=[{text: b}, {chat: c}]"}).cases.size() == 2);
  CHECK(ids_of(load_text(kTop + "sweep: {run.dtype: [float32, float64]}\n", {"sweep.run.dtype=[float16]"})) ==
        Ids{"m/p/run.dtype=float16"});
  CHECK(load_text(kTop + "sweep: {run.dtype: [float32, float64]}\n", {"sweep="}).cases.size() == 1);
  CHECK(load_text(kTop, {"run.dtype=float64", "sweep.run.dtype=[float32]"}).cases[0].run.dtype == "float32");
}

TEST_CASE("a --set that cannot be used is an error with the place --set key", "[config]") {
  const std::string swept = kTop + "sweep: {run.dtype: [float32, float64]}\n";
  const auto [yaml, set, message] = GENERATE_COPY(table<std::string, std::string, std::string>({
      {kTop, "sampler.max_tokens=0", "--set sampler.max_tokens: must be in [1, 1048576], got 0"},
      {kTop, "sampler={max_tokens: 0}", "--set sampler: sampler.max_tokens: must be in [1, 1048576], got 0"},
      {kTop, "sampler.max_tokns=1",
       "--set sampler.max_tokns: unknown key, did you mean \"max_tokens\"? (known: temperature, top_k, seed, "
       "max_tokens, "
       "num_samples, stop, mode, tools)"},
      {kTop, "samplr.max_tokens=1",
       "--set samplr.max_tokens: samplr: unknown key, did you mean \"sampler\"? (known: checkpoints, prompts, sampler, "
       "run, "
       "naive, sweep, compare, ci)"},
      {kTop, "max_tokens=1",
       "--set max_tokens: unknown key, did you mean \"sampler.max_tokens\"? (known: checkpoints, prompts, sampler, "
       "run, naive, "
       "sweep, compare, ci)"},
      {kTop, "prompts.0.text=12", "--set prompts.0.text: must be a string, got the number 12; put it in quotes"},
      {kTop, "prompts.1.text=a", "--set prompts.1.text: prompts has no entry 1; it has 1, counted from 0"},
      {kTop, "prompts.p.text=a", "--set prompts.p.text: prompts has no entry p; it has 1, counted from 0"},
      {kTop + "run: 5\n", "run.dtype=auto", "--set run.dtype: run is 5, not a map"},
      {kTop, "sampler.max_tokens", "--set sampler.max_tokens: expected key=value, as in --set sampler.max_tokens=16"},
      {kTop, "=5", "--set =5: expected key=value, as in --set sampler.max_tokens=16"},
      {kTop, "sampler..seed=5", "--set sampler..seed=5: expected key=value, as in --set sampler.max_tokens=16"},
      {kTop, "run.dtype=a\xff", "--set run.dtype: not UTF-8; save it as UTF-8 text"},
      {kTop, "sampler={seed: 1, seed: 2}", "--set sampler: sampler.seed: given twice"},
      {kTop, "prompts.0.chat=b",
       "bad.yaml:2:11: prompts.0: needs exactly one of chat, text, tokens, file, synthetic; got chat and text"},
      {swept, "run.dtype=float32",
       "--set run.dtype: run.dtype is swept at bad.yaml:3:9; give its values instead: --set 'sweep.run.dtype=[…]'"},
      {swept, "prompts.0.run.dtype=float32",
       "--set prompts.0.run.dtype: run.dtype is swept at bad.yaml:3:9; give its values instead: --set "
       "'sweep.run.dtype=[…]'"},
  }));
  CAPTURE(set);
  CHECK(fault_of(yaml, {set}) == message);
}

TEST_CASE("a --set that is not YAML is an error with the place --set key", "[config]") {
  // The words after the place are yaml-cpp's and differ between its versions.
  CHECK_THAT(fault_of(kTop, {"sampler.max_tokens={"}),
             Catch::Matchers::StartsWith("--set sampler.max_tokens: not valid YAML: "));
}
