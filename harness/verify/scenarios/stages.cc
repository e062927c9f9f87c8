#include "harness/verify/scenarios/stages.h"

#include <fmt/format.h>

#include "harness/verify/scenarios/stage_words.h"

namespace kvproof {
void check_stages(const StageCollector& collected, const Standing& standing, Comparison& comparison) {
  for (const StageCollector::Stored& stage : collected.stored()) {
    const Trace& trace = comparison.trace_of(standing.own_rows()[stage.row]);
    const auto traced = trace.stages.find({stage.stage, stage.layer});
    if (traced == trace.stages.end()) continue;
    const auto from = static_cast<int64_t>(standing.before[standing.cache].rows[stage.row].size());
    Place at = comparison.place(stage.row, words_of_stage(stage.stage).word);
    at.layer = stage.stage == Stage::embed || stage.stage == Stage::smear ? kNowhere : stage.layer;
    at.tensor = std::string(stage.stage == Stage::key ? "K" : stage.stage == Stage::value ? "V" : "");
    comparison.compare(Level::side_state, at, stage.values,
                       std::span(traced->second.exact).subspan(from * stage.width, stage.count * stage.width),
                       stage.width, traced->second.allowed, from,
                       at.layer == kNowhere
                           ? fmt::format("the {} stage, row {},", at.stage, stage.row)
                           : fmt::format("the {} stage of layer {}, row {},", at.stage, stage.layer, stage.row));
  }
}

}  // namespace kvproof
