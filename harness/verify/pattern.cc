#include "harness/verify/pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

namespace kvproof {
namespace {

bool is_batch(const std::string& kind) {
  static constexpr std::array kBatches = {"batch", "ragged", "row_independence", "replay", "threads"};
  return std::count(kBatches.begin(), kBatches.end(), kind) > 0;
}

bool is_plain_single_row(const std::string& kind) {
  static constexpr std::array kSingle = {"prefill", "decode", "chunks", "ones"};
  return std::count(kSingle.begin(), kSingle.end(), kind) > 0;
}

/// Whether there are outcomes of such kinds in this dtype, and none failed.
template <class OfKind>
bool all_pass(const std::vector<ScenarioOutcome>& outcomes, const std::string& dtype, OfKind&& of_kind) {
  bool any = false;
  for (const ScenarioOutcome& outcome : outcomes) {
    if (dtype_of(outcome.name) != dtype || !of_kind(kind_of(outcome.name))) continue;
    if (outcome.failed()) return false;
    any = true;
  }
  return any;
}

}  // namespace

bool Pattern::also(const std::string& stage) const {
  const auto& all = first().outcome->findings;
  return std::any_of(all.begin(), all.end(), [&](const Finding& other) {
    return other.place.step == at().step && other.place.layer == at().layer && other.place.stage == stage;
  });
}

bool Pattern::slots_wrong(const std::string& tensor) const {
  const auto& all = first().outcome->findings;
  return std::any_of(all.begin(), all.end(), [&](const Finding& other) {
    return other.place.step == at().step && other.place.layer == at().layer && other.place.stage == "cache" &&
           other.place.tensor == tensor;
  });
}

std::string Pattern::key_value_pattern() const {
  const bool query = also("query"), key = also("key"), value = also("value");
  if (key && !value)
    return fmt::format("K differs but V matches in layer {}{}", at().layer, query ? ", and so do queries" : "");
  if (query && !key && !value) return fmt::format("queries differ but K and V match in layer {}", at().layer);
  if (value && !key && !query) return fmt::format("V differs but K matches in layer {}", at().layer);
  return fmt::format("queries, K and V differ in layer {}, what enters it matches", at().layer);
}

bool Pattern::only_rows_above_zero() const {
  if (at().row <= 0) return false;
  for (const Finding& other : first().outcome->findings)
    if (other.place.step == at().step && other.place.stage == stage() && other.place.row <= 0) return false;
  return true;
}

bool Pattern::passes(const std::string& kind) const {
  return all_pass(outcomes, first().dtype, [&](const std::string& other) { return other == kind; });
}

bool Pattern::only_batches_fail() const {
  return is_batch(first().kind) && all_pass(outcomes, first().dtype, is_plain_single_row);
}

bool Pattern::rows_matter() const {
  if (clue(clue::kTurned) || stage() == "embed" || stage() == "smear") return false;  // these name themselves
  if (clue(clue::kOtherRow) || only_rows_above_zero()) return true;
  return (stage() != "cache" || !facts.stages_shown) && only_batches_fail();
}

int64_t Pattern::first_wrong_position() const {
  int64_t position = std::numeric_limits<int64_t>::max();
  for (const Failure& failure : failures) {
    if (failure.dtype != first().dtype) continue;
    for (const Finding& f : failure.outcome->findings)
      if (f.place.stage == "logits" && is_forward(f) && change_before(f).empty())
        position = std::min(position, f.place.position);
  }
  return position;
}

int64_t Pattern::window_at_fault() const {
  const int64_t position = first_wrong_position();
  for (const int64_t window : facts.windows)
    if (window > 0 && (position == window || position == window + 1)) return window;
  return kNowhere;
}

bool Pattern::rounding_only() const {
  if (first().dtype == "float64" || first().dtype.empty()) return false;
  bool sibling = false;
  for (const ScenarioOutcome& outcome : outcomes) {
    if (dtype_of(outcome.name) != "float64" || !outcome.skipped.empty()) continue;
    if (outcome.failed()) return false;
    sibling |= kind_of(outcome.name) == first().kind;
  }
  return sibling;
}

bool Pattern::cache_fails() const {
  return std::any_of(failures.begin(), failures.end(), [](const Failure& f) { return !is_generation(f.finding); });
}

}  // namespace kvproof
