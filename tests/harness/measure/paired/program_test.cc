// The real program, measured against itself on a model of a few thousand weights.
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "harness/error.h"
#include "harness/measure/paired/incomparable.h"
#include "harness/measure/paired/paired.h"
#include "tests/support/catch.h"

using namespace kvproof;
using Catch::Matchers::Contains;

namespace {

/// A config of two cases, gone with it.
class ConfigFile {
 public:
  ConfigFile()
      : path_(std::filesystem::temp_directory_path() / ("kvproof-paired-" + std::to_string(::getpid()) + ".yaml")) {
    std::ofstream(path_)
        << "checkpoints: [{name: tiny, synthetic: \"d2,vocab_size=64,n_embd=32,n_head=2,sequence_len=64\"}]\n"
           "prompts:\n"
           "  - {name: short, synthetic: {length: 6, seed: 1}}\n"
           "  - {name: rows, tokens: [1, 2, 3], sampler: {max_tokens: 4, num_samples: 2}}\n"
           "sampler: {temperature: 0, max_tokens: 5}\n"
           "run: {threads: 1}\n";
  }
  ~ConfigFile() { std::filesystem::remove(path_); }
  ConfigFile(const ConfigFile&) = delete;
  ConfigFile& operator=(const ConfigFile&) = delete;

  std::string command(const std::vector<std::string>& sets = {}) const {
    return measure_command(KVPROOF_PROGRAM, path_.string(), sets);
  }

 private:
  std::filesystem::path path_;
};

PairedSpec spec_of(const std::string& base, const std::string& candidate) {
  PairedSpec spec;
  spec.start = [=](Side side) { return start_process(side == Side::candidate ? candidate : base); };
  spec.cases = {{"tiny/short"}, {"tiny/rows", {{Path::engine, Part::decode}}, false}};
  spec.blocks = spec.rounds = 2;
  spec.epoch_ns = 1'000'000;
  spec.warm_up = {1, 0};
  return spec;
}

}  // namespace

TEST_CASE("the program is measured against itself", "[paired][program]") {
  const ConfigFile config;
  const PairedSession session = measure_paired(spec_of(config.command(), config.command()));
  CHECK(session.base == session.candidate);
  CHECK(session.base.config_hash.size() == 16);
  REQUIRE(session.base.cases.size() == 2);
  CHECK(session.base.cases[0] == CaseOutline{"tiny/short", 6, 5, 1});
  CHECK(session.base.cases[1] == CaseOutline{"tiny/rows", 3, 4, 2});
  REQUIRE(session.blocks.size() == 2);

  const CaseFacts& facts = session.cases[0].sides.at(Side::candidate);
  CHECK(facts.shape == "pp6 tg5");
  CHECK(facts.threads == 1);
  CHECK(facts.naive.tokens == facts.engine.tokens);
  CHECK(facts.naive.token_forwards == 5 * 6 + 10);
  CHECK(facts.engine.token_forwards == 6 + 4);
  CHECK(facts.engine.kv_cache_bytes > 0);
  CHECK(facts.engine.first_logits.size() == 32);
  CHECK(facts.invalid.empty());
  CHECK(session.cases[1].sides.at(Side::base).engine.tokens.size() == 2);
  CHECK(session.cases[1].sides.count(Side::control) == 0);

  for (const Side against : {Side::candidate, Side::control}) {
    for (const Timed& timed : all_timed()) {
      CAPTURE(word_of(timed));
      const auto y = log_ratios(session.blocks, "tiny/short", timed, against, ClockKind::cpu);
      REQUIRE(y.size() == 2);
      for (const auto& block : y) CHECK(block.size() == 2);
    }
  }
  for (const Rounds& run : session.blocks[1]) {
    for (const Round& round : run.rounds) {
      for (const EpochTimes& times : {round.base[0], round.base[1], round.other[0], round.other[1]}) {
        CHECK(times.units == times.calls * (run.timed.part != Part::decode ? 1 : run.id == "tiny/short" ? 4 : 3));
        CHECK(times.cpu_ns <= 1.2 * static_cast<double>(times.wall_ns) + 1e6);  // one thread
        CHECK(times.quiet);
      }
    }
  }
}

TEST_CASE("a program is no base where it reads something else, nothing, or no config at all", "[paired][program]") {
  const ConfigFile config;
  struct Case {
    std::string base, message;
  };
  for (const Case& one :
       {Case{config.command({"sampler.max_tokens=4"}), "the base reads another config than the candidate"},
        {config.command({"sampler.max_tokens=none"}), "base, hello: it rejects the config: --set sampler.max_tokens: "},
        {std::string("'") + KVPROOF_PROGRAM + "' subject --confg x",
         "base, hello: ended with exit status 2; its last words: "},
        {"echo old", "base, hello: expected a message of kvproof-measure/1, found \"old.\""},
        {"/nowhere/kvproof subject", "base, hello: ended with exit status 127"}}) {
    CAPTURE(one.base);
    CHECK_THROWS_WITH(measure_paired(spec_of(one.base, config.command())), Contains(one.message));
    CHECK_THROWS_AS(measure_paired(spec_of(one.base, config.command())), IncomparableError);
  }
}

TEST_CASE("flags that a measuring child cannot take are told", "[paired][program]") {
  const ConfigFile config;
  const auto hello_of_child = [](const std::string& command) { MeasureChild(Side::candidate, start_process(command)); };
  CHECK_THROWS_WITH(
      hello_of_child(config.command() + " --dtype float64"),
      Contains("ended with exit status 2; its last words: error: --config: cannot be combined with --dtype; the "
               "config says what runs, and --set changes it"));
  CHECK_THROWS_WITH(hello_of_child(std::string("'") + KVPROOF_PROGRAM + "' subject --set a.b=1"),
                    Contains("error: --set: is about the cases of a config; give --config too"));
  CHECK_THROWS_WITH(hello_of_child(config.command({"checkpoints.0.subject=echo"})),
                    Contains("checkpoint tiny has a subject"));
}

TEST_CASE("a case can be closed and opened again", "[paired][program]") {
  const ConfigFile config;
  MeasureChild child(Side::base, start_process(config.command()));
  const CaseFacts facts = child.open("tiny/short", {1, 0});
  child.close("tiny/short");
  CHECK_THROWS_WITH(child.epoch("tiny/short", {}, {1, 0}), Contains("argument: case: tiny/short is not open; none is"));
  CHECK(child.open("tiny/short", {1, 0}).engine == facts.engine);
  CHECK_THROWS_WITH(child.open("tiny/long", {1, 0}), Contains("argument: case: the config has no case tiny/long"));
}

TEST_CASE("cases of different models are opened in turn, one model at a time", "[paired][program]") {
  const ConfigFile config;
  MeasureChild child(Side::base, start_process(config.command({"sweep.run.dtype=[float32, bfloat16]"})));
  REQUIRE(child.hello().cases.size() == 4);
  const std::string narrow = "tiny/short/run.dtype=bfloat16", wide = "tiny/short/run.dtype=float32";
  const CaseFacts first = child.open(wide, {1, 0});
  CHECK(child.open(narrow, {1, 0}).dtype == "bfloat16");
  CHECK_THROWS_WITH(child.epoch(wide, {}, {1, 0}), Contains("is not open; " + narrow + " is"));
  CHECK(child.epoch(narrow, {}, {2, 0}).units == 2);
  const CaseFacts again = child.open(wide, {1, 0});
  CHECK(again.dtype == "float32");
  CHECK(again.engine == first.engine);
}
