#include "harness/measure/split.h"

#include <algorithm>
#include <numeric>
#include <optional>

namespace kvproof {
namespace {

constexpr int64_t kPrecision = 1024;  // the limit is found to its 1024th part

int64_t sum_of(const std::vector<int64_t>& values) { return std::accumulate(values.begin(), values.end(), int64_t{0}); }

int64_t all_cases(const Costs& costs) {
  int64_t sum = 0;
  for (const CaseCost& each : costs.cases) sum += each.cost;
  return sum;
}

/// The dearest case with its opening.
int64_t dearest_case(const Costs& costs) {
  int64_t most = 0;
  for (const CaseCost& each : costs.cases) most = std::max(most, each.cost + costs.openings[each.group]);
  return most;
}

int64_t divided_up(int64_t value, int64_t by) { return (value + by - 1) / by; }

/// Groups, the largest first, each with its cases, the dearest first. Empty groups are left out.
std::vector<std::vector<std::size_t>> in_order(const Costs& costs) {
  std::vector<std::vector<std::size_t>> groups(costs.openings.size());
  std::vector<int64_t> totals = costs.openings;
  for (std::size_t i = 0; i < costs.cases.size(); ++i) {
    groups[costs.cases[i].group].push_back(i);
    totals[costs.cases[i].group] += costs.cases[i].cost;
  }
  for (auto& group : groups) {
    std::stable_sort(group.begin(), group.end(),
                     [&](std::size_t a, std::size_t b) { return costs.cases[a].cost > costs.cases[b].cost; });
  }
  std::erase_if(groups, [](const auto& group) { return group.empty(); });
  // Of two that are as large, that whose first case comes first: in whatever order the groups were numbered.
  const auto first = [](const auto& group) { return *std::min_element(group.begin(), group.end()); };
  std::sort(groups.begin(), groups.end(), [&](const auto& a, const auto& b) {
    const int64_t left = totals[costs.cases[a.front()].group], right = totals[costs.cases[b.front()].group];
    return left != right ? left > right : first(a) < first(b);
  });
  return groups;
}

/// Puts all cases into shards, numbered from 0, of no more than `limit`. Absent: they do not fit that way.
std::optional<std::vector<int64_t>> pack(const Costs& costs, const std::vector<std::vector<std::size_t>>& groups,
                                         int64_t count, int64_t limit) {
  std::vector<int64_t> shards(costs.cases.size()), loads(static_cast<std::size_t>(count));
  for (const auto& group : groups) {
    const int64_t opening = costs.openings[costs.cases[group.front()].group];
    std::vector<bool> open(loads.size());
    for (const std::size_t index : group) {
      const int64_t cost = costs.cases[index].cost;
      std::optional<std::size_t> fullest, emptiest;  // of the shards that have the group; of the others
      for (std::size_t s = 0; s < loads.size(); ++s) {
        if (open[s]) {
          if (loads[s] + cost <= limit && (!fullest || loads[s] > loads[*fullest])) fullest = s;
        } else if (!emptiest || loads[s] < loads[*emptiest]) {
          emptiest = s;
        }
      }
      if (!fullest && (!emptiest || loads[*emptiest] + opening + cost > limit)) return std::nullopt;
      const std::size_t place = fullest ? *fullest : *emptiest;
      loads[place] += cost + (open[place] ? 0 : opening);
      open[place] = true;
      shards[index] = static_cast<int64_t>(place);
    }
  }
  return shards;
}

/// Each case, the dearest first, to the shard that then carries least; shards are numbered from 0.
std::vector<int64_t> spread(const Costs& costs, int64_t count) {
  std::vector<std::size_t> order(costs.cases.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto whole = [&](std::size_t i) { return costs.cases[i].cost + costs.openings[costs.cases[i].group]; };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return whole(a) > whole(b); });
  std::vector<int64_t> shards(order.size()), loads(static_cast<std::size_t>(count));
  std::vector<std::vector<bool>> open(loads.size(), std::vector<bool>(costs.openings.size()));
  for (const std::size_t index : order) {
    const std::size_t group = costs.cases[index].group;
    const auto with = [&](std::size_t s) {
      return loads[s] + costs.cases[index].cost + (open[s][group] ? 0 : costs.openings[group]);
    };
    std::size_t place = 0;
    for (std::size_t s = 1; s < loads.size(); ++s)
      if (with(s) < with(place)) place = s;
    loads[place] = with(place);
    open[place][group] = true;
    shards[index] = static_cast<int64_t>(place);
  }
  return shards;
}

/// Groups kept together as far as the lowest limit lets them; shards are numbered from 0.
std::vector<int64_t> packed(const Costs& costs, int64_t count) {
  const auto groups = in_order(costs);
  int64_t low = std::max(dearest_case(costs), divided_up(all_cases(costs) + sum_of(costs.openings), count));
  int64_t high = bound_of(costs, count);
  std::vector<int64_t> best = pack(costs, groups, count, high).value();
  while (high - low > high / kPrecision) {
    const int64_t middle = low + (high - low) / 2;
    if (auto found = pack(costs, groups, count, middle)) {
      best = std::move(*found);
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return best;
}

/// Numbers from 1 on, by the first case of each.
std::vector<int64_t> numbered(std::vector<int64_t> shards, int64_t count) {
  std::vector<int64_t> number(static_cast<std::size_t>(count));
  int64_t next = 0;
  for (int64_t& shard : shards) {
    int64_t& mine = number[static_cast<std::size_t>(shard)];
    if (mine == 0) mine = ++next;
    shard = mine;
  }
  return shards;
}

}  // namespace

int64_t bound_of(const Costs& costs, int64_t count) {
  const int64_t again = costs.openings.empty() ? 0 : *std::max_element(costs.openings.begin(), costs.openings.end());
  return dearest_case(costs) + divided_up(all_cases(costs) + sum_of(costs.openings) + (count - 1) * again, count);
}

std::vector<int64_t> loads_of(const Costs& costs, const std::vector<int64_t>& shards, int64_t count) {
  std::vector<int64_t> loads(static_cast<std::size_t>(count));
  std::vector<std::vector<bool>> open(costs.openings.size());
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const auto s = static_cast<std::size_t>(shards[i] - 1);
    auto& mine = open[costs.cases[i].group];
    if (mine.empty()) mine.resize(loads.size());
    loads[s] += costs.cases[i].cost + (mine[s] ? 0 : costs.openings[costs.cases[i].group]);
    mine[s] = true;
  }
  return loads;
}

std::vector<int64_t> split(const Costs& costs, int64_t count) {
  const auto most = [&](const std::vector<int64_t>& shards) {
    const auto loads = loads_of(costs, shards, count);
    return *std::max_element(loads.begin(), loads.end());
  };
  std::vector<int64_t> apart = numbered(spread(costs, count), count), together = numbered(packed(costs, count), count);
  return most(apart) <= most(together) ? apart : together;
}

}  // namespace kvproof
