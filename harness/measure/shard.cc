#include "harness/measure/shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "engine/model/cost_model.h"
#include "harness/error.h"
#include "harness/measure/case_record.h"
#include "harness/measure/checkpoint_session.h"
#include "harness/measure/grouping.h"
#include "harness/measure/plan.h"
#include "harness/measure/run_peaks.h"
#include "harness/measure/utilization.h"
#include "harness/measure/verification.h"

namespace kvproof {
namespace {

// The machine that stands for all: a shared one of some years ago. Only how costs compare is of any weight.
constexpr double kFlopsPerS = 5e10;  // of one thread
constexpr double kBytesPerS = 8e9;   // of one thread, until memory has no more
constexpr double kMostBytesPerS = 2e10;
constexpr int64_t kThreads = 4;                           // that "auto" stands for
constexpr double kLoadBytesPerS = 1e9;                    // opening a model, or a fresh one
constexpr double kGroupOpenings = 2;                      // of a group: the engine that is timed, and a fresh one
constexpr double kQuickVerifyS = 0.5, kFullVerifyS = 60;  // a verification's own time, s
constexpr double kQuickVerifyShare = 0.1;                 // and of the time that measuring takes
constexpr double kMostMs = 1e13;                          // 300 years: sums of ten thousand stay integers

int64_t milliseconds_of(double seconds) { return std::llround(std::min(1e3 * seconds, kMostMs)); }

/// nanochat's model of depth 12.
GptConfig stand_in() {
  ModelDims dims;
  dims.sequence_len = 2048;
  dims.vocab_size = 32768;
  dims.n_layer = 12;
  dims.n_head = dims.n_kv_head = 6;
  dims.n_embd = 768;
  return {dims, Architecture{}};
}

GptConfig config_of(const CheckpointSession& session) {
  if (!session.checkpoint) return stand_in();
  return {session.checkpoint->dims, session.checkpoint->architecture};
}

ElementBytes bytes_of_run(const RunSpec& run) {
  const int64_t bytes = bytes_of(run.dtype == "auto" ? "float32" : run.dtype);
  return {bytes, bytes, bytes};
}

ForwardRate rate_of(const GptConfig& config, const RunSpec& run) {
  const auto threads = static_cast<double>(std::max<int64_t>(1, run.threads.value_or(kThreads)));
  const auto weights = static_cast<double>(weight_bytes_read(config, bytes_of_run(run), 1));
  return {0, weights / std::min(threads * kBytesPerS, kMostBytesPerS), threads * kFlopsPerS};
}

/// What a group costs once.
double opening_s(const LoadedConfig& config, const CaseGroup& group, const GptConfig& model) {
  const auto stored = static_cast<double>(weight_bytes_stored(model, bytes_of_run(group.run)));
  double seconds = kGroupOpenings * stored / kLoadBytesPerS;
  std::vector<const Case*> cases;
  for (const std::size_t index : group.cases) cases.push_back(&config.cases[index]);
  if (std::any_of(cases.begin(), cases.end(), [](const Case* cell) { return cell->run.peaks; }))
    seconds += 2 * kPeaksSeconds;
  if (const auto depth = deepest(cases)) seconds += *depth == Depth::full ? kFullVerifyS : kQuickVerifyS;
  return seconds;
}

double case_s(const Case& cell, const Prompt& prompt, const GptConfig& model, const ForwardRate& rate) {
  const PlannedCase planned = estimate_case(cell, prompt, model, rate);
  return planned.estimated_s + (cell.run.verify == "quick" ? kQuickVerifyShare * planned.measured_s : 0);
}

}  // namespace

Costs costs_of(const LoadedConfig& config) {
  Costs costs;
  costs.cases.resize(config.cases.size());
  for (const std::size_t checkpoint : used_checkpoints(config)) {
    const CheckpointSession session = open_session(config.config.checkpoints[checkpoint]);
    const GptConfig model = config_of(session);
    // A subject's own vocabulary is not known yet: it complains itself.
    const int64_t vocab_size = session.checkpoint ? model.vocab_size : std::numeric_limits<TokenId>::max();
    for (const CaseGroup& group : group_cases(config, checkpoint)) {
      const ForwardRate rate = rate_of(model, group.run);
      for (const std::size_t index : group.cases) {
        const Case& cell = config.cases[index];
        const Prompt prompt =
            resolve_prompt(config.config.prompts[cell.prompt], session.tokenizer_or_null(), vocab_size);
        costs.cases[index] = {milliseconds_of(case_s(cell, prompt, model, rate)), costs.openings.size()};
      }
      costs.openings.push_back(milliseconds_of(opening_s(config, group, model)));
    }
  }
  return costs;
}

Shard shard_of(const LoadedConfig& config, int64_t index, int64_t count) {
  Shard shard{index, count, {}, split(costs_of(config), count)};
  for (const Case& cell : config.cases) shard.cases.push_back(cell.id);
  return shard;
}

void select(LoadedConfig& config, const Shard& shard) {
  std::set<std::string> mine;
  for (std::size_t i = 0; i < shard.cases.size(); ++i)
    if (shard.of[i] == shard.index) mine.insert(shard.cases[i]);
  std::erase_if(config.cases, [&](const Case& cell) { return mine.count(cell.id) == 0; });
}

std::string shard_text(const Shard& shard) {
  const auto own = std::count(shard.of.begin(), shard.of.end(), shard.index);
  return fmt::format("shard {} of {}: {} of {} cases", shard.index, shard.count, own, shard.of.size());
}

Json shard_json(const Shard& shard) {
  return {{"index", shard.index}, {"count", shard.count}, {"cases", shard.cases}, {"of", shard.of}};
}

Shard shard_from(const View& json) {
  Shard shard{json.at("index").integer(), json.at("count").integer(), {}, {}};
  for (const View& id : json.at("cases").items()) shard.cases.push_back(id.text());
  for (const View& number : json.at("of").items()) shard.of.push_back(number.integer());
  const auto outside = [&](int64_t number) { return number < 1 || number > shard.count; };
  if (outside(shard.index) || shard.cases.size() != shard.of.size() ||
      std::any_of(shard.of.begin(), shard.of.end(), outside)) {
    throw RecordError(json.pointer(), "does not say which shard runs which case; the record is damaged");
  }
  return shard;
}

}  // namespace kvproof
