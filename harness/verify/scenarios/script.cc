#include "harness/verify/scenarios/script.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace kvproof {

std::string CacheStep::describe() const {
  const auto plural = [](std::size_t n, const char* what) {
    return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
  };
  switch (kind) {
    case Kind::create:
      return fmt::format("new cache of {} x {}", amount, capacity);
    case Kind::forward: {
      std::size_t longest = 0;
      for (const Tokens& row : tokens) longest = std::max(longest, row.size());
      const std::string what = longest == 1 ? "decode" : "chunk of " + plural(longest, "token");
      return refused ? what + ", to be refused" : what;
    }
    case Kind::clone:
      return fmt::format("clone to {}", plural(rows.size(), "row"));
    case Kind::truncate:
      return fmt::format("truncate to {}", amount);
    case Kind::reset:
      return "reset";
    case Kind::reserve:
      return fmt::format("grow to {}", capacity);
    case Kind::retain:
      return fmt::format("retain {}", plural(rows.size(), "row"));
    case Kind::poison:
      return "NaN into the tail";
  }
  throw std::logic_error("a step without a name");
}

void apply(const CacheStep& step, std::vector<ExpectedCache>& caches) {
  if (step.refused) return;
  if (static_cast<std::size_t>(step.cache) >= caches.size()) caches.resize(step.cache + 1);
  ExpectedCache& cache = caches[step.cache];
  switch (step.kind) {
    case CacheStep::Kind::create:
      cache = {std::vector<Tokens>(step.amount), step.capacity};
      break;
    case CacheStep::Kind::forward:
      for (std::size_t row = 0; row < cache.rows.size(); ++row)
        cache.rows[row].insert(cache.rows[row].end(), step.tokens[row].begin(), step.tokens[row].end());
      break;
    case CacheStep::Kind::clone: {
      std::vector<Tokens> rows;
      for (const int64_t source : step.rows) rows.push_back(caches[step.source].rows[source]);
      cache = {std::move(rows), step.capacity};
      break;
    }
    case CacheStep::Kind::truncate:
      cache.rows[step.rows.front()].resize(step.amount);
      break;
    case CacheStep::Kind::reset:
      for (Tokens& row : cache.rows) row.clear();
      break;
    case CacheStep::Kind::reserve:
      cache.capacity = std::max(cache.capacity, step.capacity);
      break;
    case CacheStep::Kind::retain: {
      std::vector<Tokens> rows;
      for (const int64_t row : step.rows) rows.push_back(cache.rows[row]);
      cache.rows = std::move(rows);
      break;
    }
    case CacheStep::Kind::poison:
      break;
  }
}

namespace {

void add_needs_of_forward(const CacheStep& step, const ExpectedCache& cache, int64_t rotary_len, Abilities& all) {
  for (std::size_t row = 0; row < step.tokens.size(); ++row) {
    const std::size_t held = cache.rows[row].size(), count = step.tokens[row].size();
    if (held > 0 && count > 1) all.add(Ability::chunks);
    if (held != cache.rows[0].size() || count != step.tokens[0].size()) all.add(Ability::uneven);
    if (step.refused)
      all.add(static_cast<int64_t>(held + count) > rotary_len ? Ability::position_limit : Ability::capacity_limit);
  }
}

}  // namespace

Abilities needs(const Script& script, int64_t rotary_len) {
  Abilities all;
  std::vector<ExpectedCache> caches;
  int newest = 0;
  for (const CacheStep& step : script.steps) {
    const bool made = step.kind == CacheStep::Kind::create || step.kind == CacheStep::Kind::clone;
    if (made) newest = step.cache;
    if (step.cache != newest || (step.kind == CacheStep::Kind::create && step.cache > 0)) all.add(Ability::caches);
    switch (step.kind) {
      case CacheStep::Kind::create:
        break;
      case CacheStep::Kind::forward:
        add_needs_of_forward(step, caches[step.cache], rotary_len, all);
        break;
      case CacheStep::Kind::clone:
        all.add(caches[step.source].rows.size() == 1 ? Ability::clone : Ability::gather);
        break;
      case CacheStep::Kind::truncate:
        all.add(caches[step.cache].rows.size() == 1 ? Ability::truncate : Ability::truncate_row);
        break;
      case CacheStep::Kind::reset:
        all.add(Ability::reset);
        break;
      case CacheStep::Kind::reserve:
        all.add(Ability::reserve);
        break;
      case CacheStep::Kind::retain:
        all.add(Ability::retain);
        break;
      case CacheStep::Kind::poison:
        all.add(Ability::poison);
        break;
    }
    apply(step, caches);
    if (caches[step.cache].rows.size() > 1) all.add(Ability::batch);
  }
  if (script.threads > 0) all.add(Ability::threads);
  if (!script.twins.empty()) all.add(Ability::caches);
  return all;
}

std::vector<Tokens> histories(const Script& script) {
  std::vector<Tokens> all;
  std::vector<ExpectedCache> caches;
  for (const CacheStep& step : script.steps) {
    apply(step, caches);
    if (step.kind != CacheStep::Kind::forward || step.refused) continue;
    for (const Tokens& row : caches[step.cache].rows) all.push_back(row);
  }
  // Sorted, a prefix stands right before what it is a prefix of.
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  std::vector<Tokens> longest;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool prefix = i + 1 < all.size() && all[i].size() <= all[i + 1].size() &&
                        std::equal(all[i].begin(), all[i].end(), all[i + 1].begin());
    if (!prefix) longest.push_back(all[i]);
  }
  return longest;
}

}  // namespace kvproof
