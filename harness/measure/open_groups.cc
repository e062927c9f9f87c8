#include "harness/measure/open_groups.h"

#include <algorithm>
#include <utility>

#include "harness/measure/grouping.h"

namespace kvproof {

OpenGroups::OpenGroups(const LoadedConfig& config, ModelHook on_model)
    : config_(config), on_model_(std::move(on_model)) {
  for (const std::size_t checkpoint : used_checkpoints(config)) {
    for (const CaseGroup& group : group_cases(config, checkpoint))
      groups_.push_back({checkpoint, group.run, group.cases});
  }
}

std::vector<std::size_t> OpenGroups::in_order() const {
  std::vector<std::size_t> order;
  for (const Group& group : groups_) order.insert(order.end(), group.cases.begin(), group.cases.end());
  return order;
}

std::size_t OpenGroups::group_of(std::size_t index) const {
  const auto has = [&](const Group& group) {
    return std::binary_search(group.cases.begin(), group.cases.end(), index);
  };
  return static_cast<std::size_t>(std::find_if(groups_.begin(), groups_.end(), has) - groups_.begin());
}

OpenGroup OpenGroups::open(std::size_t index) {
  if (!holds(index)) open_group(group_of(index));
  if (failure_) std::rethrow_exception(failure_);
  return {*session_, *engine_};
}

void OpenGroups::close() {
  engine_.reset();
  session_.reset();
  checkpoint_.reset();
  group_.reset();
  failure_ = nullptr;
}

void OpenGroups::open_group(std::size_t group) {
  engine_.reset();
  failure_ = nullptr;
  group_ = group;
  const auto& [checkpoint, run, cases] = groups_[group];
  const CheckpointSpec& spec = config_.config.checkpoints[checkpoint];
  try {
    if (checkpoint_ != checkpoint) {
      checkpoint_.reset();
      session_.reset();
      session_.emplace(open_session(spec));
      checkpoint_ = checkpoint;
    }
    threads_.use(run.threads);
    engine_ = open_group_engine(spec, *session_, run, on_model_);
  } catch (...) {
    failure_ = std::current_exception();
  }
}

}  // namespace kvproof
