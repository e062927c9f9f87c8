// A session of fresh children: who is asked what, when, and what remains of it.
#include "harness/measure/paired/paired.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include <unistd.h>

#include "harness/measure/paired/incomparable.h"
#include "tests/harness/measure/paired/fake_child.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::testing;
using Catch::Matchers::Contains;
using Lines = std::vector<std::string>;

namespace {

constexpr Timed kEngineE2e{Path::engine, Part::e2e}, kEngineDecode{Path::engine, Part::decode};

/// A journal's file, gone with it.
struct JournalFile {
  JournalFile() {
    static int number = 0;
    path = std::filesystem::temp_directory_path() /
           ("kvproof-paired-" + std::to_string(::getpid()) + "-" + std::to_string(number++) + ".jsonl");
    std::filesystem::remove(path);
  }
  ~JournalFile() { std::filesystem::remove(path); }
  std::vector<Json> lines() const { return Journal::open(path).lines(); }

  std::filesystem::path path;
};

std::vector<double> flat(const std::vector<std::vector<double>>& y) {
  std::vector<double> all;
  for (const auto& block : y) all.insert(all.end(), block.begin(), block.end());
  return all;
}

}  // namespace

TEST_CASE("a block is a fresh pair, both warm, taking turns A B B A", "[paired]") {
  FakeSession fake;
  fake.spec.rounds = 2;
  fake.programs[Side::candidate].wall_ns = 6'000'000;  // 5 calls for 25 ms, the base needs 3
  measure_paired(fake.spec);
  std::sort(fake.log.end() - 2, fake.log.end());  // they may go in any order
  CHECK(fake.log == Lines{"base: hello", "candidate: hello", "base: open demo/a", "candidate: open demo/a",
                          "candidate: epoch demo/a engine_e2e 25000000 ns", "base: epoch demo/a engine_e2e 25000000 ns",
                          "base: epoch demo/a engine_e2e x5", "candidate: epoch demo/a engine_e2e x5",
                          "candidate: epoch demo/a engine_e2e x5", "base: epoch demo/a engine_e2e x5",
                          "base: epoch demo/a engine_e2e x5", "candidate: epoch demo/a engine_e2e x5",
                          "candidate: epoch demo/a engine_e2e x5", "base: epoch demo/a engine_e2e x5", "base: gone",
                          "candidate: gone"});
}

TEST_CASE("the next block starts new children, the other way round", "[paired]") {
  FakeSession fake;
  fake.spec.blocks = 3;
  fake.spec.cases.front().controlled = true;
  measure_paired(fake.spec);
  CHECK(fake.requests("hello").size() == 9);
  CHECK(fake.requests("gone").size() == 9);
  const Lines opened = fake.requests("open");
  CHECK(Lines(opened.begin() + 3, opened.begin() + 6) ==
        Lines{"control: open demo/a", "candidate: open demo/a", "base: open demo/a"});
}

TEST_CASE("the control takes turns with the base as the candidate does", "[paired]") {
  FakeSession fake;
  fake.spec.cases = {{"demo/a", {kEngineE2e}, true}, {"demo/b", {kEngineE2e}, false}};
  const PairedSession session = measure_paired(fake.spec);
  CHECK(fake.requests("open").size() == 5);  // the control has no business in demo/b
  CHECK(fake.requests("epoch demo/a engine_e2e x3") ==
        Lines{"base: epoch demo/a engine_e2e x3", "candidate: epoch demo/a engine_e2e x3",
              "candidate: epoch demo/a engine_e2e x3", "base: epoch demo/a engine_e2e x3",
              "base: epoch demo/a engine_e2e x3", "control: epoch demo/a engine_e2e x3",
              "control: epoch demo/a engine_e2e x3", "base: epoch demo/a engine_e2e x3"});
  CHECK(log_ratios(session.blocks, "demo/a", kEngineE2e, Side::control, ClockKind::wall) ==
        std::vector<std::vector<double>>{{0.0}});
  CHECK(log_ratios(session.blocks, "demo/b", kEngineE2e, Side::control, ClockKind::wall).empty());
}

TEST_CASE("samples are logarithms of the other side's time over the base's, block by block", "[paired]") {
  FakeSession fake;
  fake.spec.blocks = 2;
  fake.spec.rounds = 3;
  fake.programs[Side::candidate].wall_ns = 20'000'000;
  fake.programs[Side::candidate].cpu_ns = 4'000'000;
  const PairedSession session = measure_paired(fake.spec);
  const auto wall = log_ratios(session.blocks, "demo/a", kEngineE2e, Side::candidate, ClockKind::wall);
  REQUIRE(wall.size() == 2);
  REQUIRE(flat(wall).size() == 6);
  for (const double y : flat(wall)) CHECK(y == Approx(std::log(2.0)));
  for (const double y : flat(log_ratios(session.blocks, "demo/a", kEngineE2e, Side::candidate, ClockKind::cpu)))
    CHECK(y == Approx(-std::log(2.0)));
  CHECK(session.base.commit == "base");
  CHECK(session.candidate.commit == "new");
}

TEST_CASE("a round's two epochs of a side count together", "[paired]") {
  const auto times = [](int64_t wall_ns) { return EpochTimes{1, 1, wall_ns, 1, true}; };
  const Round round{{times(100), times(300)}, {times(500), times(1100)}};
  const std::vector<std::vector<Rounds>> blocks = {{{"a", kEngineE2e, Side::candidate, {round}}}};
  CHECK(flat(log_ratios(blocks, "a", kEngineE2e, Side::candidate, ClockKind::wall)).at(0) == Approx(std::log(4.0)));
  auto still = blocks;
  for (EpochTimes& epoch : still[0][0].rounds[0].base) epoch.cpu_ns = 0;
  CHECK_THROWS_WITH(log_ratios(still, "a", kEngineE2e, Side::candidate, ClockKind::cpu),
                    "a, engine_e2e: two epochs took no CPU time; longer epochs would");
}

TEST_CASE("what there is nothing of is not timed", "[paired]") {
  FakeSession fake;
  for (const Side side : {Side::base, Side::candidate})
    fake.programs[side].cases["demo/a"] = small_facts("demo/a", {7});
  fake.spec.cases.front().timed = {kEngineDecode, kEngineE2e};
  const PairedSession session = measure_paired(fake.spec);
  CHECK(fake.requests("epoch demo/a engine_decode").empty());
  CHECK(fake.requests("epoch demo/a engine_e2e").size() == 6);
  CHECK(log_ratios(session.blocks, "demo/a", kEngineDecode, Side::candidate, ClockKind::cpu).empty());
}

TEST_CASE("cases that are not the same work are opened once and not timed", "[paired]") {
  FakeSession fake;
  fake.spec.blocks = 2;
  fake.spec.cases = {{"demo/a", {kEngineE2e}, false}, {"demo/b", {kEngineE2e}, false}};
  fake.programs[Side::candidate].cases["demo/a"] = small_facts("demo/a", {7, 8, 5, 7});
  const PairedSession tokens = measure_paired(fake.spec);
  CHECK(tokens.cases[0].untimed == "base and candidate generate different tokens: naive, row 0, token 2 is 9 and 5");
  CHECK(tokens.cases[1].untimed.empty());
  CHECK(fake.requests("open demo/a").size() == 2);
  CHECK(fake.requests("epoch demo/a").empty());
  CHECK(log_ratios(tokens.blocks, "demo/b", kEngineE2e, Side::candidate, ClockKind::wall).size() == 2);

  fake.programs[Side::candidate].cases["demo/a"] = small_facts("demo/a", {7, 8, 9});
  CHECK(measure_paired(fake.spec).cases[0].untimed ==
        "base and candidate generate different tokens: naive, row 0 has 4 tokens and 3");
  fake.programs[Side::candidate].cases["demo/a"] = small_facts("demo/a");
  fake.programs[Side::candidate].cases["demo/a"].invalid = {"engine is not deterministic"};
  CHECK(measure_paired(fake.spec).cases[0].untimed == "candidate: engine is not deterministic");
  // Counts may change: that is what is compared.
  fake.programs[Side::candidate].cases["demo/a"] = small_facts("demo/a");
  fake.programs[Side::candidate].cases["demo/a"].engine.kv_cache_bytes = 1;
  fake.programs[Side::candidate].cases["demo/a"].naive.token_forwards = 100;
  CHECK(measure_paired(fake.spec).cases[0].untimed.empty());
}

TEST_CASE("a journal has each block as it ends", "[paired]") {
  FakeSession fake;
  const JournalFile file;
  fake.spec.blocks = 2;
  fake.spec.cases = {{"demo/a", {kEngineDecode, kEngineE2e}, true}, {"demo/b", {{Path::naive, Part::prefill}}, false}};
  fake.programs[Side::candidate].wall_ns = 12'345'678;
  const PairedSession session = [&] {
    Journal journal = Journal::create(file.path);
    return measure_paired(fake.spec, &journal);
  }();
  const std::vector<Json> lines = file.lines();
  std::vector<std::string> kinds;
  for (const Json& line : lines) kinds.push_back(line.at("kind"));
  CHECK(kinds == Lines{"session", "case", "case", "block", "block"});
  CHECK(lines[0].at("candidate").at("program").at("commit") == "new");
  CHECK(lines[1].at("base").at("engine").at("tokens").dump() == "[[7,8,9,7]]");
  CHECK(lines[1].contains("control"));
  CHECK_FALSE(lines[2].contains("control"));
  REQUIRE(session.blocks.size() == 2);
  for (std::size_t b = 0; b < 2; ++b) CHECK(lines[3 + b] == block_json(static_cast<int64_t>(b), session.blocks[b]));
  const Json& epochs = lines[3].at("samples").at(0).at("rounds").at(0);
  CHECK(lines[3].at("samples").at(0).at("what") == "engine_decode");
  CHECK(epochs.at("other").at(0).at("wall_ns") == session.blocks[0][0].rounds[0].other[0].wall_ns);
  CHECK(epochs.at("other") != epochs.at("base"));
}

TEST_CASE("a child that fails ends the session, and whole blocks stay", "[paired]") {
  FakeSession fake;
  const JournalFile file;
  fake.spec.blocks = 3;
  fake.before_start = [&](int64_t child) {
    if (child != 2) return;  // block 1
    fake.programs[Side::candidate].instead = [](const nlohmann::json& request) -> std::optional<nlohmann::json> {
      if (request.at("op") != "epoch") return std::nullopt;
      return nlohmann::json{{"id", request.at("id")},
                            {"error", {{"kind", "capacity"}, {"message", "not enough memory"}}}};
    };
  };
  const auto measure = [&] {
    Journal journal = Journal::create(file.path);
    measure_paired(fake.spec, &journal);
  };
  CHECK_THROWS_WITH(
      measure(),
      "candidate: candidate, epoch of demo/a, engine_e2e, at least 25000000 ns: the child answered with an "
      "error, capacity: not enough memory");
  const std::vector<Json> lines = file.lines();
  CHECK(std::count_if(lines.begin(), lines.end(), [](const Json& line) { return line.at("kind") == "block"; }) == 1);
  CHECK(fake.requests("gone").size() == 4);
}

TEST_CASE("a program must give in each block what it gave in the first", "[paired]") {
  FakeSession fake;
  fake.spec.blocks = 2;
  fake.spec.cases.front().controlled = true;
  std::function<void()> change;
  fake.before_start = [&](int64_t child) {
    if (child == 3) change();
  };
  change = [&] { fake.programs[Side::base].cases["demo/a"].engine.kv_cache_bytes = 5; };
  CHECK_THROWS_WITH(
      measure_paired(fake.spec),
      "base: base, open demo/a: what it gave is not the first block's: engine, 6 and 6 positions, 4096 and 5 "
      "bytes of cache; it is not deterministic, or files changed meanwhile");
}

TEST_CASE("a program that was rebuilt meanwhile, or a control that is another, ends the session", "[paired]") {
  FakeSession rebuilt;
  rebuilt.spec.blocks = 2;
  rebuilt.before_start = [&](int64_t child) {
    if (child == 2) rebuilt.programs[Side::candidate].hello.commit = "newer";
  };
  CHECK_THROWS_WITH(
      measure_paired(rebuilt.spec),
      Contains("candidate, hello: expected version 0.1.0, commit new, config aaaa, found version 0.1.0, commit "
               "newer, config aaaa: the program, the config or the machine changed during the session"));
  FakeSession control;
  control.spec.cases.front().controlled = true;
  control.programs[Side::control].hello.commit = "other";
  CHECK_THROWS_WITH(measure_paired(control.spec), Contains("or the control is no copy of the base; start again"));
  FakeSession tokens;
  tokens.spec.cases.front().controlled = true;
  tokens.programs[Side::control].cases["demo/a"] = small_facts("demo/a", {1, 2});
  CHECK_THROWS_WITH(measure_paired(tokens.spec),
                    Contains("control, open demo/a: what it gave is not the base's: naive, "
                             "row 0, token 0 is 7 and 1"));
}

TEST_CASE("who ends a session keeps its whole blocks", "[paired]") {
  FakeSession fake;
  fake.spec.blocks = 4;
  std::vector<std::string> stages;
  const PairedSession session = measure_paired(fake.spec, nullptr, [&](const PairedProgress& at) {
    stages.push_back(std::to_string(at.block) + " " + at.stage + " " + at.id);
    return at.block < 2 || at.stage == "start";
  });
  CHECK(session.interrupted);
  CHECK(session.blocks.size() == 2);
  CHECK(Lines(stages.begin(), stages.begin() + 4) ==
        Lines{"0 start ", "0 open demo/a", "0 engine_e2e demo/a", "1 start "});
  CHECK(stages.back() == "2 open demo/a");
}

TEST_CASE("a session of nothing is no session", "[paired]") {
  FakeSession fake;
  fake.spec.blocks = 0;
  CHECK_THROWS_AS(measure_paired(fake.spec), std::invalid_argument);
  fake.spec.blocks = 1;
  fake.spec.cases.clear();
  CHECK_THROWS_AS(measure_paired(fake.spec), std::invalid_argument);
}
