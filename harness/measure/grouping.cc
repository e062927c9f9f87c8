#include "harness/measure/grouping.h"

#include <algorithm>
#include <tuple>

namespace kvproof {
namespace {

auto model_key(const RunSpec& run) { return std::tie(run.backend, run.dtype, run.device, run.threads, run.pin); }

}  // namespace

std::vector<CaseGroup> group_cases(const LoadedConfig& config, std::size_t checkpoint) {
  std::vector<CaseGroup> groups;
  for (std::size_t i = 0; i < config.cases.size(); ++i) {
    const Case& cell = config.cases[i];
    if (cell.checkpoint != checkpoint) continue;
    const auto same = [&](const CaseGroup& group) { return model_key(group.run) == model_key(cell.run); };
    auto group = std::find_if(groups.begin(), groups.end(), same);
    if (group == groups.end()) group = groups.insert(groups.end(), CaseGroup{cell.run, {}});
    group->cases.push_back(i);
  }
  return groups;
}

std::vector<std::size_t> used_checkpoints(const LoadedConfig& config) {
  std::vector<std::size_t> used;
  for (const Case& cell : config.cases) {
    if (std::find(used.begin(), used.end(), cell.checkpoint) == used.end()) used.push_back(cell.checkpoint);
  }
  return used;
}

}  // namespace kvproof
