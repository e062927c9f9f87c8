#include "harness/verify/scenarios/slots.h"

#include <fmt/format.h>

#include <algorithm>

namespace kvproof {
namespace {

// Above so many numbers held, old slots are looked at every kSparse steps only.
constexpr int64_t kOftenNumbers = int64_t{1} << 17;
constexpr int64_t kSparse = 16;

/// The first of n numbers that differ in a bit and count; n: none.
template <class Counts>
std::size_t first_changed(const std::vector<double>& a, const std::vector<double>& b, std::size_t n, Counts&& counts) {
  if (same_bits(a.data(), b.data(), n)) return n;
  for (std::size_t i = 0; i < n; ++i)
    if (!same_bits(&a[i], &b[i], 1) && counts(i)) return i;
  return n;
}

/// What was expected, with what was found where either is not there: nothing is known of it.
std::vector<double> expected_of(const TracedValues& traced, int64_t from, int64_t count, const CacheSlots& slots,
                                std::span<const double> found, int64_t first_slot) {
  const auto expected = std::span(traced.exact).subspan(from * traced.width, count * traced.width);
  std::vector<double> known(expected.begin(), expected.end());
  for (int64_t i = 0; i < count; ++i) {
    const bool traced_too = traced.present.empty() || traced.present[static_cast<std::size_t>(from + i)];
    if (traced_too && slots.has(from + i - first_slot)) continue;
    std::copy_n(found.begin() + i * traced.width, traced.width, known.begin() + i * traced.width);
  }
  return known;
}

/// Whether row i is still row i and its old slots must be as they were.
bool keeps_rows(const CacheStep& step, bool own) {
  if (!own) return true;
  return step.kind == CacheStep::Kind::forward || step.kind == CacheStep::Kind::reserve ||
         step.kind == CacheStep::Kind::truncate;
}

}  // namespace

void SlotCheck::check(const CacheStep& step) {
  for (std::size_t c = 0; c < standing_.caches.size(); ++c) {
    if (!standing_.caches[c]) continue;
    const SubjectCache& cache = *standing_.caches[c];
    const bool own = static_cast<int>(c) == standing_.cache;
    const bool appended = step.kind == CacheStep::Kind::forward && own && !step.refused;
    if (!own && !often(cache)) continue;  // others must not change at all; where that is dear, their next step tells
    std::vector<RowSlots> now;
    for (int64_t row = 0; row < cache.batch(); ++row) {
      const auto length = static_cast<int64_t>(standing_.expected[c].rows[row].size());
      const int64_t old = appended ? static_cast<int64_t>(standing_.before[c].rows[row].size()) : 0;
      const bool whole = !appended || often(cache);
      const int64_t first = whole ? 0 : old;
      auto slots = show_row(cache, row, first, length - first);
      if (!slots) return;
      if (own) judge(row, old, first, *slots);
      if (whole) now.push_back(std::move(*slots));
    }
    if (now.empty()) continue;
    std::vector<RowSlots>& seen = seen_[static_cast<int>(c)];
    if (keeps_rows(step, own)) check_unchanged(seen, now, own);
    seen = std::move(now);
  }
}

bool SlotCheck::often(const SubjectCache& cache) const {
  int64_t positions = 0;
  for (int64_t row = 0; row < cache.batch(); ++row) positions += cache.length(row);
  return positions * info_.n_layer * info_.n_kv_head * info_.head_dim * 2 <= kOftenNumbers ||
         standing_.step % kSparse == 0 || standing_.step + 1 == steps_;
}

/// Nothing: the subject does not show them.
std::optional<SlotCheck::RowSlots> SlotCheck::show_row(const SubjectCache& cache, int64_t row, int64_t first,
                                                       int64_t count) const {
  RowSlots slots;
  for (int64_t layer = 0; layer < info_.n_layer; ++layer) {
    auto of_layer = cache.contents(row, layer, first, count);
    if (!of_layer) return std::nullopt;
    slots.push_back(std::move(*of_layer));
  }
  return slots;
}

void SlotCheck::check_unchanged(const std::vector<RowSlots>& old, const std::vector<RowSlots>& now, bool own) {
  for (std::size_t row = 0; row < std::min(old.size(), now.size()); ++row) {
    for (std::size_t layer = 0; layer < now[row].size(); ++layer) {
      Place at = comparison_.place(static_cast<int64_t>(row), "cache");
      at.layer = static_cast<int64_t>(layer);
      for (const bool keys : {true, false}) check_unchanged(old[row][layer], now[row][layer], at, keys, own);
    }
  }
}

/// One layer's keys or values of one row, as far as both hold them.
void SlotCheck::check_unchanged(const CacheSlots& old, const CacheSlots& now, Place at, bool keys, bool own) {
  const auto width = static_cast<std::size_t>(now.kv_heads * now.head_dim);
  const auto both = std::min(old.keys.size(), now.keys.size());
  const std::vector<double>&a = keys ? old.keys : old.values, &b = keys ? now.keys : now.values;
  const std::size_t i = first_changed(a, b, both, [&](std::size_t number) {
    const auto slot = static_cast<int64_t>(number / width);
    return old.has(slot) && now.has(slot);
  });
  if (i == both) return comparison_.fact_holds(Level::invariants);
  at.position = static_cast<int64_t>(i / width);
  at.head = static_cast<int64_t>(i % width) / now.head_dim;
  at.tensor = std::string(keys ? "K" : "V");
  comparison_.fact(Level::invariants, false, at,
                   fmt::format("{} of layer {} at position {} changed, and this step had no business there{}",
                               at.tensor, at.layer, at.position, own ? "" : ": it was done to another cache"));
}

/// A row of the step's own cache from position `from` on. slots: from slot `first` on
void SlotCheck::judge(int64_t row, int64_t from, int64_t first, const RowSlots& slots) {
  const Tokens& held = standing_.own_rows()[row];
  if (held.empty()) return;
  const Trace& trace = comparison_.trace_of(held);
  for (int64_t layer = 0; layer < info_.n_layer; ++layer) {
    for (const bool keys : {true, false}) {
      if (keys && !info_.keys_rotated && !trace.from_slots) continue;  // the reference's are
      const auto traced = trace.stages.find({keys ? Stage::key : Stage::value, layer});
      if (traced == trace.stages.end()) return;
      const int64_t width = traced->second.width;
      const std::span<const double> all = keys ? slots[layer].keys : slots[layer].values;
      Place at = comparison_.place(row, "cache");
      at.layer = layer;
      at.tensor = std::string(keys ? "K" : "V");
      const auto count = static_cast<int64_t>(held.size()) - from;
      const auto found = all.subspan((from - first) * width, count * width);
      comparison_.compare(
          Level::keys_values, at, found, expected_of(traced->second, from, count, slots[layer], found, first), width,
          traced->second.allowed, from, fmt::format("the cached {} of layer {}, row {},", at.tensor, layer, row));
    }
  }
}

}  // namespace kvproof
