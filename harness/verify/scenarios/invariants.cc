#include "harness/verify/scenarios/invariants.h"

#include <fmt/format.h>

#include <algorithm>

namespace kvproof {
namespace {

/// returns whether the row's length is the expected
bool check_row(const SubjectCache& cache, int64_t row, const ExpectedCache& expected, Comparison& comparison) {
  const auto length = static_cast<int64_t>(expected.rows[row].size());
  const bool same = cache.length(row) == length;
  Place at = comparison.place(row, "state");
  at.position = std::min(length, cache.length(row));
  comparison.fact(Level::invariants, same, at,
                  fmt::format("row {} stands at position {}, not {}", row, cache.length(row), length));
  comparison.fact(
      Level::invariants, cache.length(row) <= cache.capacity(), at,
      fmt::format("row {} holds {} positions, more than the capacity of {}", row, cache.length(row), cache.capacity()));
  comparison.fact(Level::invariants, cache.capacity() >= expected.capacity, at,
                  fmt::format("the capacity is {}, and {} were asked for", cache.capacity(), expected.capacity));
  const auto tokens = cache.tokens(row);
  if (tokens && same)
    comparison.fact(Level::side_state, *tokens == expected.rows[row], at,
                    fmt::format("row {} remembers other tokens than it was given", row));
  return same;
}

struct Owned {
  StorageRange range;
  std::size_t cache;
  int64_t row;
};

/// By address.
std::vector<Owned> all_storage(const Caches& caches) {
  std::vector<Owned> all;
  for (std::size_t c = 0; c < caches.size(); ++c) {
    for (int64_t row = 0; caches[c] && row < caches[c]->batch(); ++row)
      for (const StorageRange& range : caches[c]->storage(row)) all.push_back({range, c, row});
  }
  std::sort(all.begin(), all.end(), [](const Owned& a, const Owned& b) { return a.range.begin < b.range.begin; });
  return all;
}

}  // namespace

bool check_lengths(const Standing& standing, Comparison& comparison) {
  const SubjectCache& cache = standing.own_cache();
  const ExpectedCache& expected = standing.expected[standing.cache];
  bool fine = cache.batch() == static_cast<int64_t>(expected.rows.size());
  comparison.fact(Level::invariants, fine, comparison.place(kNowhere, "state"),
                  fmt::format("the cache has {} rows, not {}", cache.batch(), expected.rows.size()));
  for (int64_t row = 0; fine && row < cache.batch(); ++row) fine = check_row(cache, row, expected, comparison);
  return fine;
}

void check_storage(const Standing& standing, Comparison& comparison) {
  const std::vector<Owned> all = all_storage(standing.caches);
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    const Owned &a = all[i], &b = all[i + 1];
    if (a.range.end <= b.range.begin) {
      comparison.fact_holds(Level::invariants);
      continue;
    }
    comparison.fact(Level::invariants, false, comparison.place(std::max(a.row, b.row), "state"),
                    a.cache == b.cache
                        ? fmt::format("rows {} and {} share storage", a.row, b.row)
                        : fmt::format("row {} of the clone shares storage with row {} of its source", b.row, a.row));
    return;
  }
}

}  // namespace kvproof
