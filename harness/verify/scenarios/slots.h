// What lies in the slots: what recomputation says (L3), and still what was there where a step had no business (L0).
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "harness/verify/scenarios/compare.h"

namespace kvproof {

/// Remembers every cache's slots from one look to the next.
class SlotCheck {
 public:
  /// All must outlive this. steps: of the script
  SlotCheck(const Standing& standing, const SubjectInfo& info, int64_t steps, Comparison& comparison)
      : standing_(standing), info_(info), steps_(steps), comparison_(comparison) {}

  /// Another cache takes this number: what it holds was never looked at.
  void forget(int cache) { seen_.erase(cache); }

  /// Looks at the slots of all caches behind a step. Where they are many numbers, at new ones after each step, and at all
  /// of them every few steps. A subject that shows no slots is left alone.
  void check(const CacheStep& step);

 private:
  using RowSlots = std::vector<CacheSlots>;  // (L)

  bool often(const SubjectCache& cache) const;
  std::optional<RowSlots> show_row(const SubjectCache& cache, int64_t row, int64_t first, int64_t count) const;
  void check_unchanged(const std::vector<RowSlots>& old, const std::vector<RowSlots>& now, bool own);
  void check_unchanged(const CacheSlots& old, const CacheSlots& now, Place at, bool keys, bool own);
  void judge(int64_t row, int64_t from, int64_t first, const RowSlots& slots);

  const Standing& standing_;
  const SubjectInfo& info_;
  const int64_t steps_;
  Comparison& comparison_;
  std::map<int, std::vector<RowSlots>> seen_;  // by the caches' numbers: (B, L) at the last look
};

}  // namespace kvproof
