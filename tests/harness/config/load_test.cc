// What good configs mean.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "harness/config/resolved.h"
#include "tests/harness/config/config_file.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;

TEST_CASE("four lines are a config, the rest are defaults", "[config]") {
  const LoadedConfig loaded = load_text(
      "checkpoints: [{name: demo, base_dir: checkpoints/demo-d4, source: sft}]\n"
      "prompts:\n"
      "  - {name: tool, chat: \"What is 12 times 7?\"}\n");
  REQUIRE(ids_of(loaded) == std::vector<std::string>{"demo/tool"});
  const Case& only = loaded.cases[0];
  CHECK(only.checkpoint == 0);
  CHECK(only.prompt == 0);
  CHECK(only.sampler.temperature == 0);
  CHECK_FALSE(only.sampler.top_k.has_value());
  CHECK(only.sampler.seed == 42);
  CHECK(only.sampler.max_tokens == 64);
  CHECK(only.sampler.num_samples == 1);
  CHECK(only.sampler.stop == Stop::automatic);
  CHECK(only.sampler.mode == "per_row");
  CHECK(only.sampler.tools);
  CHECK(only.run.backend == "auto");
  CHECK(only.run.dtype == "auto");
  CHECK(only.run.device == "auto");
  CHECK_FALSE(only.run.threads.has_value());
  CHECK_FALSE(only.run.repetitions.has_value());
  CHECK(only.run.verify == "quick");
  CHECK(only.run.peaks);
  CHECK(only.naive.logits == "all");
}

TEST_CASE("every key arrives where it belongs", "[config]") {
  const std::filesystem::path folder = source_path("tests/data/config");
  const LoadedConfig loaded = load_config(folder / "everything.yaml");
  const Config& config = loaded.config;

  REQUIRE(config.checkpoints.size() == 2);
  const CheckpointSpec& disk = config.checkpoints[0];
  CHECK(disk.name == "disk");
  CHECK(disk.place == (folder / "everything.yaml").string() + ":3:5");
  CHECK(disk.base_dir == (folder / "../nanochat").lexically_normal());
  CHECK(disk.source == "sft");
  CHECK(disk.tag == "d4");
  CHECK(disk.step == 160);
  CHECK(disk.architecture == std::map<std::string, std::string>{{"softcap", "20"},
                                                                {"generation", "2026-02"},
                                                                {"rope_base", "1e4"},
                                                                {"qk_scale", "1"},
                                                                {"window_pattern", "SL"},
                                                                {"short_window", "7"},
                                                                {"ve_gate_scale", "2"},
                                                                {"rope_table_dtype", "float32"},
                                                                {"norm_eps", "1e-6"}});
  CHECK(config.checkpoints[1].synthetic == "d4,vocab_size=2048");
  CHECK(config.checkpoints[1].base_dir.empty());

  REQUIRE(config.prompts.size() == 5);
  CHECK(config.prompts[0].kind == PromptKind::chat);
  CHECK(config.prompts[0].text == "What is 12 times 7?");
  CHECK(config.prompts[1].kind == PromptKind::text);
  CHECK(config.prompts[1].text == "two\nlines\n");
  CHECK(config.prompts[2].kind == PromptKind::tokens);
  CHECK(config.prompts[2].tokens == std::vector<int32_t>{5, 0, 2147483647});
  CHECK(config.prompts[3].kind == PromptKind::file);
  CHECK(config.prompts[3].text == (folder / "prompt.txt").string());
  CHECK(config.prompts[4].kind == PromptKind::synthetic);
  CHECK(config.prompts[4].length == 512);
  CHECK(config.prompts[4].seed == 9);

  REQUIRE(ids_of(loaded) == std::vector<std::string>{"disk/a", "disk/b", "disk/c", "disk/d", "disk/e", "random/a",
                                                     "random/b", "random/c", "random/d", "random/e"});
  const Case& a = loaded.cases[0];
  CHECK(a.sampler.temperature == 0.5);
  CHECK(a.sampler.top_k == 50);
  CHECK(a.sampler.seed == 7);
  CHECK(a.sampler.max_tokens == 9);
  CHECK(a.sampler.num_samples == 3);
  CHECK(a.sampler.stop == Stop::off);
  CHECK(a.sampler.mode == "nanochat");
  CHECK_FALSE(a.sampler.tools);
  CHECK(a.run.backend == "aten");
  CHECK(a.run.dtype == "bfloat16");
  CHECK(a.run.device == "cpu");
  CHECK(a.run.threads == 2);
  CHECK(a.run.repetitions == 11);
  CHECK(a.run.verify == "off");
  CHECK_FALSE(a.run.peaks);
  CHECK(a.naive.logits == "last");

  // A prompt's own settings win over the file's; what it does not say stays.
  const Case& e = loaded.cases[9];
  CHECK(e.checkpoint == 1);
  CHECK(e.prompt == 4);
  CHECK(e.sampler.temperature == 1);
  CHECK(e.sampler.num_samples == 2);
  CHECK(e.sampler.seed == 7);
  CHECK_FALSE(e.run.threads.has_value());
  CHECK(e.run.repetitions == 11);
  CHECK(e.naive.logits == "all");
  CHECK(config.sampler.num_samples == 3);
  CHECK(config.run.threads == 2);
  CHECK(config.naive.logits == "last");
}

TEST_CASE("on and off are words for stop, verify and tools, as YAML 1.1 writers put them too", "[config]") {
  const auto [yaml, stop, verify, tools] = GENERATE(table<std::string, Stop, std::string, bool>({
      {"sampler: {stop: on, tools: on}\nrun: {verify: off}\n", Stop::on, "off", true},
      {"sampler: {stop: off, tools: off}\nrun: {verify: full}\n", Stop::off, "full", false},
      {"sampler: {stop: \"off\", tools: false}\nrun: {verify: 'off'}\n", Stop::off, "off", false},
      {"sampler: {stop: true, tools: true}\nrun: {verify: false}\n", Stop::on, "off", true},
      {"sampler: {stop: auto}\nrun: {}\n", Stop::automatic, "quick", true},
  }));
  CAPTURE(yaml);
  const Case only = load_text(kTop + yaml).cases[0];
  CHECK(only.sampler.stop == stop);
  CHECK(only.run.verify == verify);
  CHECK(only.sampler.tools == tools);
}

TEST_CASE("null, ~, auto and an empty section leave optional values open", "[config]") {
  const std::string yaml = GENERATE("sampler: {top_k: null}\nrun: {threads: auto, repetitions: ~}\n",
                                    "sampler: {top_k: ~}\nrun: {threads: null, repetitions: auto}\n",
                                    "sampler:\nrun:\nsweep:\n", "sampler:\n  top_k:\nrun:\n  # threads: 2\n");
  CAPTURE(yaml);
  const Case only = load_text(kTop + yaml).cases[0];
  CHECK_FALSE(only.sampler.top_k.has_value());
  CHECK_FALSE(only.run.threads.has_value());
  CHECK_FALSE(only.run.repetitions.has_value());
}

TEST_CASE("numbers are read as YAML writes them", "[config]") {
  const auto [text, value] = GENERATE(
      table<std::string, double>({{"1", 1}, {"0.8", 0.8}, {"+.5", 0.5}, {"1e-1", 0.1}, {"-0", 0}, {"100", 100}}));
  CAPTURE(text);
  const double temperature = load_text(kTop + "sampler: {temperature: " + text + "}\n").cases[0].sampler.temperature;
  CHECK(temperature == value);
  CHECK_FALSE(std::signbit(temperature));
  CHECK(load_text(kTop + "sampler: {seed: 9223372036854775807}\n").cases[0].sampler.seed == 9223372036854775807u);
}

TEST_CASE("what has no name gets one that nothing else has", "[config]") {
  const LoadedConfig loaded = load_text(
      "checkpoints:\n"
      "- {base_dir: runs/my model/}\n"
      "- {base_dir: .}\n"
      "- {synthetic: \"d4,vocab_size=64\"}\n"
      "- {synthetic: \"d4,vocab_size=128\"}\n"
      "- {synthetic: d12, name: d4-2}\n"
      "prompts:\n"
      "- {text: a}\n"
      "- {chat: b}\n"
      "- {tokens: [1]}\n"
      "- {file: a.txt}\n"
      "- {synthetic: {length: 3}}\n"
      "- {text: c, name: text1}\n");
  std::vector<std::string> checkpoints, prompts;
  for (const CheckpointSpec& spec : loaded.config.checkpoints) checkpoints.push_back(spec.name);
  for (const PromptSpec& spec : loaded.config.prompts) prompts.push_back(spec.name);
  CHECK(checkpoints == std::vector<std::string>{"my-model", "checkpoint2", "d4", "d4-3", "d4-2"});
  CHECK(prompts == std::vector<std::string>{"text1-2", "chat2", "tokens3", "file4", "synthetic5", "text1"});
}

TEST_CASE("paths begin at the config's folder, or at home, or are absolute", "[config]") {
  const char* home = std::getenv("HOME");
  REQUIRE(home != nullptr);
  const ConfigFolder folder;
  const auto base_dir = [&](const std::string& written) {
    const auto file = folder.write("checkpoints: [{name: m, base_dir: \"" + written + "\"}]\nprompts: [{text: hi}]\n");
    return load_config(file).config.checkpoints[0].base_dir;
  };
  CHECK(base_dir("a/b") == folder.dir() / "a/b");
  CHECK(base_dir("../b") == folder.dir().parent_path() / "b");
  CHECK(base_dir("/a/b") == "/a/b");
  CHECK(base_dir("~/b") == std::filesystem::path(home) / "b");
}

TEST_CASE("the resolved config holds every decision and no folder of the machine", "[config]") {
  const LoadedConfig loaded = load_text(
      "checkpoints: [{name: m, base_dir: /home/someone/nanochat, step: 5}, {synthetic: d4, architecture: {softcap: "
      "20}}]\n"
      "prompts:\n"
      "- {name: p, file: ../texts/a.txt, sampler: {top_k: 5}}\n"
      "sampler: {temperature: 0.8}\n"
      "sweep: {run.dtype: [float32, float64]}\n");
  CHECK(
      loaded.resolved_json ==
      R"({"checkpoints":[{"name":"m","base_dir":"(absolute)/nanochat","source":null,"tag":null,"step":5,"architecture":{}},)"
      R"({"name":"d4","synthetic":"d4","architecture":{"softcap":"20"}}],)"
      R"("prompts":[{"name":"p","file":"../texts/a.txt",)"
      R"("sampler":{"temperature":0.8,"top_k":5,"seed":42,"max_tokens":64,"num_samples":1,"stop":"auto","mode":"per_row",)"
      R"("tools":true},)"
      R"("run":{"backend":"auto","device":"auto","threads":null,"pin":false,"repetitions":null,"verify":"quick","peaks":true},)"
      R"("naive":{"logits":"all"}}],)"
      R"("sweep":[[{"run.dtype":"float32"},{"run.dtype":"float64"}]]})");
}

TEST_CASE("the hash is the same for the same decisions, however and wherever they are written", "[config]") {
  const std::string plain = load_text(kTop).hash;
  CHECK(load_text(kTop + "sampler: {seed: 42}\nrun: {threads: auto}\nnaive:\n").hash == plain);
  CHECK(load_text("prompts:\n- name: p\n  text: 'hi'\ncheckpoints:\n- synthetic: d4\n  name: m\n").hash == plain);
  CHECK(load_text(kTop, {"sampler.temperature=0.0"}).hash == plain);
  CHECK(load_text(kTop, {"sampler.seed=43"}).hash != plain);
  CHECK(load_text(kTop + "sweep: {sampler.seed: [42]}\n").hash != plain);  // the case's name differs
  CHECK(load_text(kTop, {"prompts.0.name=q"}).hash != plain);
}

TEST_CASE("the hash is FNV-1a with 64 bits", "[config]") {
  // Values of the authors' test vectors.
  CHECK(config::fnv1a_hex("") == "cbf29ce484222325");
  CHECK(config::fnv1a_hex("a") == "af63dc4c8601ec8c");
  CHECK(config::fnv1a_hex("foobar") == "85944171f73967e8");
  const LoadedConfig loaded = load_text(kTop);
  CHECK(loaded.hash == config::fnv1a_hex(loaded.resolved_json));
}

TEST_CASE("every config that comes with the project loads, its files are there and it says what it is for",
          "[config]") {
  const auto [name, cases] =
      GENERATE(table<std::string, std::size_t>(
          {{"demo", 6}, {"prefill_vs_decode", 8}, {"growth", 1}, {"agreement", 30}, {"ci", 4}, {"prove_compare", 1}}));
  CAPTURE(name);
  const std::string file = source_path("configs/" + name + ".yaml");
  const LoadedConfig loaded = load_config(file);
  CHECK(loaded.cases.size() == cases);
  for (const CheckpointSpec& spec : loaded.config.checkpoints) {
    CHECK((spec.synthetic.has_value() || std::filesystem::is_directory(spec.base_dir)));
  }
  std::ifstream stream(file);
  const std::string text(std::istreambuf_iterator<char>(stream), {});
  CHECK(text.starts_with("# Question: "));
  CHECK(text.substr(0, text.find("\n\n")).find("Time: ") != std::string::npos);
  CHECK(load_text(text).hash == loaded.hash);
}

TEST_CASE("no config lies in configs/ that the test above does not know", "[config]") {
  int configs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(source_path("configs")))
    configs += entry.path().extension() == ".yaml";
  CHECK(configs == 6);
}

TEST_CASE("the starter config loads, and its comments do too", "[config]") {
  const std::string starter = starter_config();
  CHECK(ids_of(load_text(starter)) == std::vector<std::string>{"random/short", "random/long"});

  // What it shows behind these, with its comment signs taken away.
  const std::size_t sweep = starter.find("# compare:");
  REQUIRE(sweep != std::string::npos);
  std::string shown = starter.substr(sweep);
  for (std::size_t at = 0; at < shown.size(); at = shown.find('\n', at) + 1) shown.erase(at, 2);
  const LoadedConfig loaded = load_text(starter.substr(0, sweep) + shown);
  CHECK(loaded.cases.size() == 2 * 2 * 2 * 5);
  CHECK(loaded.config.compare.blocks == 12);
  CHECK(loaded.config.ci.baseline == "main");
  CHECK(loaded.config.ci.floors == std::map<std::string, double>{{"speedup_e2e", 2.0}});
}

TEST_CASE("what a comparison measures and what fails it is no part of what is run", "[config]") {
  const std::string yaml = "checkpoints: [{name: m, synthetic: d4}]\nprompts: [{name: p, text: hi}]\n";
  const LoadedConfig plain = load_text(yaml);
  CHECK(plain.config.compare.time == std::vector<std::string>{"engine_prefill", "engine_decode"});
  CHECK(plain.config.ci.fail_on == std::vector<std::string>{"disagree", "regressed", "missing", "error"});
  CHECK_FALSE(plain.config.ci.baseline);
  const LoadedConfig other = load_text(yaml + "compare: {blocks: 6, rounds: 1, epoch_ms: 1, warm_up_ms: 0, time: [naive_e2e]}\n"
                                              "ci: {fail_on: [], accept: [tokens], baseline: old}\n");
  CHECK(other.hash == plain.hash);
  CHECK(other.config.compare.blocks == 6);
  CHECK(other.config.compare.rounds == 1);
  CHECK(other.config.compare.epoch_ms == 1);
  CHECK(other.config.compare.warm_up_ms == 0);
  CHECK(other.config.compare.time == std::vector<std::string>{"naive_e2e"});
  CHECK(other.config.ci.fail_on.empty());
  CHECK(other.config.ci.accept == std::vector<std::string>{"tokens"});
}
