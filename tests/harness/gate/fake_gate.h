// Gates on children that measure without a model: what each program takes is written down.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "harness/gate/timing_gate.h"
#include "tests/harness/measure/paired/fake_child.h"

namespace kvproof::testing {

/// A share by which a part of one case takes more CPU time on one side, in some of the sessions.
struct Slower {
  Side side = Side::candidate;
  std::string id = "demo/a", what = "engine_decode";
  double by = 0.1;
  bool in_first = true, in_second = true;
};

/// A gate of demo/a and demo/b, one thread, 8 blocks: the least that four gated tests need.
struct FakeGate {
  std::map<Side, FakeProgram> programs = {
      {Side::base, {}}, {Side::candidate, {small_hello("new")}}, {Side::control, {}}};
  std::vector<Slower> slower;
  TimingSpec spec;
  std::vector<std::string> log;

  FakeGate() {
    for (const char* id : {"demo/a", "demo/b"}) add_case(id);
    spec.compare = {8, 1, 10, 0, {"engine_prefill", "engine_decode"}};
    spec.start = [this](Side side) {
      if (side == Side::base) ++base_starts_;
      return StartedChild{std::make_unique<FakeChild>(as_slow(side), word_of(side), log), word_of(side)};
    };
  }
  FakeGate(const FakeGate&) = delete;
  FakeGate& operator=(const FakeGate&) = delete;

  void add_case(const std::string& id) {
    Case one;
    one.id = id;
    one.sampler.max_tokens = 4;
    spec.cases.push_back(one);
    for (auto& [side, program] : programs) program.cases.insert({id, small_facts(id)});
  }

  /// Sets something of every case of every program.
  void of_all(const std::function<void(CaseFacts&)>& set) {
    for (auto& [side, program] : programs) {
      for (auto& [id, facts] : program.cases) set(facts);
    }
  }

  TimingOutcome run(const PairedListener& listener = {}) { return run_timing_gate(spec, nullptr, listener); }

  /// How many blocks were begun, of all sessions.
  int64_t blocks() const { return base_starts_; }

 private:
  FakeProgram as_slow(Side side) const {
    FakeProgram program = programs.at(side);
    const bool is_second =
        base_starts_ > spec.compare.blocks;  // sessions in which the number of blocks is the config's
    std::vector<Slower> of_side;
    for (const Slower& each : slower) {
      if (each.side == side && (is_second ? each.in_second : each.in_first)) of_side.push_back(each);
    }
    if (of_side.empty()) return program;
    program.instead = [usual = program, of_side](const nlohmann::json& request) -> std::optional<nlohmann::json> {
      if (request.at("op") != "epoch") return std::nullopt;
      FakeProgram now = usual;
      for (const Slower& each : of_side) {
        if (request.at("case") == each.id && request.at("what") == each.what)
          now.cpu_ns = static_cast<int64_t>(static_cast<double>(now.cpu_ns) * (1 + each.by));
      }
      nlohmann::json answer = now.answer(request);
      answer["id"] = request.at("id");
      return answer;
    };
    return program;
  }

  int64_t base_starts_ = 0;
};

}  // namespace kvproof::testing
