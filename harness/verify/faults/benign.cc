#include "harness/verify/faults/benign.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>
#include <set>

#include "engine/model/model.h"
#include "harness/verify/faults/shapes.h"
#include "harness/verify/scenarios/drive.h"
#include "harness/verify/scenarios/scenario.h"
#include "harness/verify/verdict/own_engine.h"

namespace kvproof {
namespace {

/// A stream of small numbers, the same everywhere.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15 + 1) {}
  int64_t upto(int64_t n) {  // 1 … n
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return 1 + static_cast<int64_t>((state_ >> 33) % static_cast<uint64_t>(n));
  }

 private:
  uint64_t state_;
};

enum class Variation { none, key_blocks, sum_order, over_allocated, threads };

/// The same function of its inputs, summed in another order: every mlp's hidden units reversed.
Checkpoint with_units_reversed(Checkpoint checkpoint) {
  for (auto& [name, tensor] : checkpoint.tensors) {
    const bool rows = name.find("mlp.c_fc.weight") != std::string::npos,
               columns = name.find("mlp.c_proj.weight") != std::string::npos;
    if (rows || columns) tensor = tensor.flip({rows ? 0 : 1}).contiguous();
  }
  return checkpoint;
}

std::string random_scenario(Dice& dice, const SubjectInfo& info) {
  const int64_t most = std::min<int64_t>(24, info.rotary_len / 4);
  const auto n = [&](int64_t limit) { return dice.upto(std::max<int64_t>(1, std::min(limit, most))); };
  switch (dice.upto(16)) {
    case 1:
      return fmt::format("decode[{},{}]", n(24), n(12));
    case 2:
      return fmt::format("chunks[{},{},{}]", n(12), n(3), n(12));
    case 3:
      return fmt::format("ones[{}]", n(24));
    case 4:
      return fmt::format("batch[{},{},{}]", dice.upto(6), n(16), n(6));
    case 5:
      return fmt::format("ragged[{},{},{}]", n(16), n(16), n(16));
    case 6:
      return fmt::format("clone[{},{},{}]", dice.upto(6), n(16), n(6));
    case 7:
      return fmt::format("diverge[{},{}]", dice.upto(3), n(16));
    case 8:
      return fmt::format("shuffle[{},{},{}]", 1 + dice.upto(4), n(12), n(4));
    case 9:
      return fmt::format("retain[{},{}]", 1 + dice.upto(5), n(12));
    case 10: {
      const int64_t prompt = n(20);
      return fmt::format("truncate[{},{},{}]", prompt, dice.upto(prompt + 1) - 1, n(6));
    }
    case 11:
      return fmt::format("truncate_row[{},{},{}]", 1 + dice.upto(4), 1 + n(15), n(5));
    case 12:
      return fmt::format("reset[{},{}]", n(20), n(20));
    case 13:
      return fmt::format("grow[{},{}]", 1 + n(9), n(6));
    case 14:
      return fmt::format("poison[{},{}]", n(12), n(6));
    case 15:
      return fmt::format("interleave[{},{}]", n(16), n(6));
    default:
      return fmt::format("prefill[{}]", n(24));
  }
}

/// Three times the room that a script asks for.
void over_allocate(Script& script) {
  for (CacheStep& step : script.steps) step.capacity *= 3;
}

/// One shape's model in one dtype, and its reference.
struct Bench {
  Checkpoint checkpoint;
  std::unique_ptr<Model> exact, tested, other_order;
  std::unique_ptr<Subject> exact_subject, tested_subject, other_subject;

  Bench(const Shape& shape, const std::string& backend, const std::string& dtype, uint64_t seed) : checkpoint(make_shape(shape, seed)) {
    exact = make_model(checkpoint, {backend, "float64", "cpu"});
    exact_subject = make_in_process_subject(*exact, nullptr);
    tested = make_model(checkpoint, {backend, dtype, "cpu"});
    tested_subject = make_in_process_subject(*tested, nullptr);
    other_order = make_model(with_units_reversed(checkpoint), {backend, dtype, "cpu"});
    other_subject = make_in_process_subject(*other_order, nullptr);
  }
};

ScenarioOutcome run_one(Bench& bench, const std::string& name, uint64_t seed, Variation variation, int64_t amount) {
  const ScenarioName parsed = parse_scenario(name);
  Script script = make_script(parsed, bench.tested_subject->info(), seed);
  if (variation == Variation::over_allocated) over_allocate(script);
  if (variation == Variation::threads) script.threads = static_cast<int>(amount);
  const bool exact = parsed.dtype == "float64";
  TraceBank bank(*bench.tested_subject, exact ? nullptr : bench.exact_subject.get(), {parsed.dtype, kErrorRatioGate});
  Subject& subject = variation == Variation::sum_order ? *bench.other_subject : *bench.tested_subject;
  std::optional<KeyBlocks> blocks;
  // The references come first: they are the engine as it is.
  for (const Tokens& history : histories(script)) bank.of(history);
  if (variation == Variation::key_blocks) blocks.emplace(*bench.tested, amount);
  return drive(script, name, seed, subject, bank, {[](int threads) { set_threads(threads); }, nullptr});
}

}  // namespace

BenignSummary run_benign(int64_t runs, const std::string& backend, uint64_t seed, const std::function<void(int64_t run)>& progress) {
  constexpr int64_t kRunsPerBench = 20;
  BenignSummary summary;
  std::unique_ptr<Bench> bench;
  Dice dice(seed);
  std::set<std::string> seen;
  for (int64_t run = 0; run < runs;) {
    if (progress) progress(run);
    const int64_t number = run / kRunsPerBench;
    const Shape& shape = shapes()[number % shapes().size()];
    const std::string dtype = number / static_cast<int64_t>(shapes().size()) % 2 == 0 ? "float64" : "float32";
    if (run % kRunsPerBench == 0 || !bench)
      bench = std::make_unique<Bench>(shape, backend, dtype, seed + static_cast<uint64_t>(number));
    // Few with other threads: where cores are shared, two of LibTorch's spend their time waiting for each other.
    const auto variation = run % 50 == 25 ? Variation::threads : static_cast<Variation>(dice.upto(4) - 1);
    const int64_t amount = variation == Variation::threads ? dice.upto(2) : dice.upto(7);
    const std::string name = random_scenario(dice, bench->tested_subject->info()) + "/" + dtype;
    static constexpr std::array kWords = {"as it is", "over key blocks of", "matrices summed in another order",
                                          "three times the capacity", "threads:"};
    const bool counted = variation == Variation::key_blocks || variation == Variation::threads;
    const std::string what =
        fmt::format("{}, seed {}, {}{}, on {}", name, seed + static_cast<uint64_t>(run),
                    kWords[static_cast<std::size_t>(variation)], counted ? fmt::format(" {}", amount) : "", shape.spec);
    ++run;
    if (!seen.insert(what).second) continue;
    const ScenarioOutcome outcome = run_one(*bench, name, seed + static_cast<uint64_t>(run - 1), variation, amount);
    ++summary.runs;
    if (outcome.failed())
      summary.alarms.push_back(what + ": " +
                               (outcome.findings.empty() ? outcome.broke_off : outcome.findings.front().message));
  }
  return summary;
}

}  // namespace kvproof
