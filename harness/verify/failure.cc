#include "harness/verify/failure.h"

#include <algorithm>
#include <array>
#include <limits>
#include <tuple>

namespace kvproof {

std::string kind_of(const std::string& scenario) { return scenario.substr(0, scenario.find('[')); }
std::string dtype_of(const std::string& scenario) {
  const auto slash = scenario.rfind('/');
  return slash == std::string::npos ? "" : scenario.substr(slash + 1);
}

bool is_twin(const Finding& finding) { return contains(finding.place.operation, ", done again"); }
bool is_forward(const Finding& finding) {
  const std::string& operation = finding.place.operation;
  return (operation.starts_with("decode") || operation.starts_with("chunk") || operation.starts_with("prefill")) &&
         !contains(operation, ", to be refused");
}
bool is_generation(const Finding& finding) {
  return finding.place.operation.starts_with("generate") || finding.place.stage == "tokens";  // its own loop's too
}
std::string change_before(const Finding& finding) {
  const std::string after = " after ";
  const auto at = finding.place.operation.find(after);
  return is_forward(finding) && at != std::string::npos ? finding.place.operation.substr(at + after.size()) : "";
}

namespace {

int64_t stage_order(const std::string& stage) {
  static constexpr std::array kOrder = {"state", "embed",     "smear", "query",  "key",   "value",
                                        "cache", "attention", "layer", "logits", "tokens"};
  const auto found = std::find(kOrder.begin(), kOrder.end(), stage);
  return found == kOrder.end() ? 0 : found - kOrder.begin();
}

auto sort_key(const Finding& finding) {
  const Place& at = finding.place;
  const int64_t stage = stage_order(at.stage);
  // Behind the last layer come the logits, behind them the tokens.
  const int64_t layer = stage >= stage_order("logits") ? std::numeric_limits<int64_t>::max() : at.layer;
  return std::tuple(is_twin(finding), at.step, layer, stage, static_cast<int>(finding.level), at.tensor != "K",
                    at.position, at.row);
}

const Finding* earliest(const ScenarioOutcome& outcome) {
  const auto found = std::min_element(outcome.findings.begin(), outcome.findings.end(),
                                      [](const Finding& a, const Finding& b) { return sort_key(a) < sort_key(b); });
  return found == outcome.findings.end() ? nullptr : &*found;
}

Failure failure_of(const ScenarioOutcome& outcome) {
  const Finding* first = earliest(outcome);
  Finding finding;
  if (first) {
    finding = *first;
  } else {  // the driver of caches notes what broke it off: this was a generation
    finding.place.operation = "generate";
    finding.place.stage = "tokens";
    finding.message = outcome.broke_off.empty() ? "failed without a word" : "ended in an error: " + outcome.broke_off;
  }
  return {&outcome, finding, kind_of(outcome.name), dtype_of(outcome.name)};
}

}  // namespace

std::vector<Failure> failures_of(const std::vector<ScenarioOutcome>& outcomes) {
  std::vector<Failure> failures;
  for (const ScenarioOutcome& outcome : outcomes)
    if (outcome.failed()) failures.push_back(failure_of(outcome));
  const auto rank = [](const Failure& f) {
    const bool plain = is_forward(f.finding) && change_before(f.finding).empty() && !is_twin(f.finding);
    return std::tuple(f.dtype != "float64", is_generation(f.finding), f.outcome->findings.empty(), is_twin(f.finding),
                      !plain);
  };
  std::stable_sort(failures.begin(), failures.end(),
                   [&](const Failure& a, const Failure& b) { return rank(a) < rank(b); });
  return failures;
}

}  // namespace kvproof
