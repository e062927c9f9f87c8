#include "harness/measure/run_teller.h"

#include "harness/machine/machine.h"

namespace kvproof {

RunTeller::RunTeller(const LoadedConfig& config, Progress* progress, const RunLife& life)
    : config_(config), progress_(progress), life_(life), start_ns_(now_ns()) {}

void RunTeller::tell(std::size_t index, std::size_t number, const std::string& stage, int64_t done, int64_t total,
                     std::optional<double> case_left) {
  if (!show(index, number, stage, done, total, case_left)) throw Interrupted();
}

bool RunTeller::show(std::size_t index, std::size_t number, const std::string& stage, int64_t done, int64_t total,
                     std::optional<double> case_left) {
  if (life_.interrupted && life_.interrupted()) return false;
  if (!progress_) return true;
  const double elapsed = 1e-9 * static_cast<double>(now_ns() - start_ns_);
  const bool judged = stage == "verification" || stage == "agreement" || stage == "peaks";
  const bool timed = case_left || judged;  // the newest case is as good as known
  const std::size_t known = timed || begun_ == 0 ? begun_ : begun_ - 1;
  ProgressEvent event{config_.cases[index].id, number, config_.cases.size(), stage, done, total, {}};
  if (known > 0) {  // the cases to come are taken to cost what those before did
    const double mean = (elapsed + case_left.value_or(0)) / static_cast<double>(known);
    event.seconds_left = case_left.value_or(0) + mean * static_cast<double>(config_.cases.size() - known);
  }
  progress_->on_event(event);
  return true;
}

}  // namespace kvproof
