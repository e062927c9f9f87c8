#include "harness/machine/peaks/contest.h"

#include <algorithm>

namespace kvproof {

std::optional<NamedRate> Rates::best() const {
  const auto fastest = std::max_element(ways.begin(), ways.end(),
                                        [](const NamedRate& a, const NamedRate& b) { return a.per_s < b.per_s; });
  if (fastest == ways.end() || fastest->per_s <= 0) return std::nullopt;
  return *fastest;
}

Rates larger(const Rates& a, const Rates& b) {
  Rates both = a;
  both.rounds += b.rounds;
  for (const NamedRate& way : b.ways) {
    const auto known =
        std::find_if(both.ways.begin(), both.ways.end(), [&](const NamedRate& each) { return each.by == way.by; });
    if (known == both.ways.end()) {
      both.ways.push_back(way);
    } else {
      known->per_s = std::max(known->per_s, way.per_s);
    }
  }
  return both;
}

Rates contest(double amount, const std::vector<Contender>& contenders, const ContestPolicy& policy,
              const Clock& clock) {
  Rates rates;
  for (const Contender& contender : contenders) rates.ways.push_back({contender.by, 0});
  const int64_t begin = clock();
  do {
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      const int64_t before = clock();
      contenders[i].work();
      const int64_t took = clock() - before;
      if (took > 0) rates.ways[i].per_s = std::max(rates.ways[i].per_s, 1e9 * amount / static_cast<double>(took));
    }
    ++rates.rounds;
  } while (rates.rounds < policy.most_rounds && clock() - begin < policy.budget_ns);
  return rates;
}

}  // namespace kvproof
