#include "harness/measure/split.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "tests/support/catch.h"

using namespace kvproof;
using Numbers = std::vector<int64_t>;

namespace {

/// Cases of one group, opened for nothing.
Costs alike(const Numbers& costs, int64_t opening = 0) {
  Costs all{{}, {opening}};
  for (const int64_t cost : costs) all.cases.push_back({cost, 0});
  return all;
}

int64_t most(const Numbers& loads) { return *std::max_element(loads.begin(), loads.end()); }

/// Some cases in some groups; small numbers among them, so that there are ties.
Costs generated(std::mt19937& random, int cases, int groups) {
  const auto below = [&](int64_t limit) { return std::uniform_int_distribution<int64_t>(0, limit)(random); };
  const int64_t largest = below(1) == 0 ? 9 : 100'000;
  Costs costs;
  for (int g = 0; g < groups; ++g) costs.openings.push_back(below(2) == 0 ? 0 : below(largest));
  for (int i = 0; i < cases; ++i) costs.cases.push_back({below(largest), static_cast<std::size_t>(below(groups - 1))});
  return costs;
}

/// The least that the fullest of `count` shards can carry, by trying everything.
int64_t optimum(const Costs& costs, int64_t count) {
  Numbers shards(costs.cases.size(), 1);
  int64_t best = most(loads_of(costs, shards, count));
  for (;;) {
    std::size_t i = 0;
    while (i < shards.size() && shards[i] == count) shards[i++] = 1;
    if (i == shards.size()) return best;
    ++shards[i];
    best = std::min(best, most(loads_of(costs, shards, count)));
  }
}

}  // namespace

TEST_CASE("cases that differ are split so that shards carry about the same", "[shard]") {
  const Costs costs = alike({7, 1, 5, 3, 2, 6});  // 24: three times 8
  const Numbers shards = split(costs, 3);
  CHECK(shards == Numbers{1, 1, 2, 2, 3, 3});
  CHECK(loads_of(costs, shards, 3) == Numbers{8, 8, 8});
  CHECK(split(costs, 1) == Numbers(6, 1));
}

TEST_CASE("a group stays in one shard where that does not unbalance, and is split where it would", "[shard]") {
  // Two groups of four cases each, ten times as dear to open as a case is: apart they take 14 each, mixed 24.
  Costs two{{}, {10, 10}};
  for (int i = 0; i < 8; ++i) two.cases.push_back({1, static_cast<std::size_t>(i / 4)});
  CHECK(split(two, 2) == Numbers{1, 1, 1, 1, 2, 2, 2, 2});
  CHECK(loads_of(two, split(two, 2), 2) == Numbers{14, 14});

  Costs uneven{{{1, 1}}, {2, 2}};
  for (int i = 0; i < 20; ++i) uneven.cases.push_back({10, 0});
  CHECK(most(loads_of(uneven, split(uneven, 2), 2)) <= 105);  // of 205, and openings: the large group is in both
}

TEST_CASE("more shards than cases leaves the last without any", "[shard]") {
  CHECK(split(alike({4, 9, 4}), 5) == Numbers{1, 2, 3});
  CHECK(loads_of(alike({4, 9, 4}, 1), split(alike({4, 9, 4}, 1), 5), 5) == Numbers{5, 10, 5, 0, 0});
}

TEST_CASE("cases that cost nothing have a shard too", "[shard]") {
  for (const int64_t shard : split(alike({0, 0, 0}), 2)) CHECK((shard == 1 || shard == 2));
}

TEST_CASE("of generated cases each is in exactly one shard, and no shard carries more than the bound", "[shard]") {
  std::mt19937 random(1);
  double worst = 0;
  for (int round = 0; round < 3000; ++round) {
    const int cases = 1 + static_cast<int>(random() % 60), groups = 1 + static_cast<int>(random() % 8);
    const int64_t count = 1 + static_cast<int64_t>(random() % 12);
    const Costs costs = generated(random, cases, groups);
    const Numbers shards = split(costs, count), loads = loads_of(costs, shards, count);
    CAPTURE(round, cases, groups, count);
    REQUIRE(shards.size() == costs.cases.size());
    REQUIRE(std::all_of(shards.begin(), shards.end(), [&](int64_t s) { return s >= 1 && s <= count; }));
    REQUIRE(most(loads) <= bound_of(costs, count));
    int64_t last = 0;  // numbers appear in order, none left out
    for (const int64_t shard : shards) {
      REQUIRE(shard <= last + 1);
      last = std::max(last, shard);
    }
    if (bound_of(costs, count) > 0)
      worst = std::max(worst, static_cast<double>(most(loads)) / static_cast<double>(bound_of(costs, count)));
  }
  CHECK(worst <= 1);
}

TEST_CASE("of few cases the fullest shard carries little more than it must", "[shard]") {
  std::mt19937 random(2);
  double worst = 1;
  for (int round = 0; round < 300; ++round) {
    const int cases = 1 + static_cast<int>(random() % 7), groups = 1 + static_cast<int>(random() % 3);
    const int64_t count = 2 + static_cast<int64_t>(random() % 2);
    const Costs costs = generated(random, cases, groups);
    const int64_t best = optimum(costs, count), found = most(loads_of(costs, split(costs, count), count));
    CAPTURE(round, best, found);
    REQUIRE(found >= best);
    if (best > 0) worst = std::max(worst, static_cast<double>(found) / static_cast<double>(best));
  }
  CHECK(worst <= 1.2);  // worst seen 1.143
}

TEST_CASE("the split is the same however often it is made, and however the groups are numbered", "[shard]") {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    const Costs costs = generated(random, 1 + static_cast<int>(random() % 40), 6);
    const int64_t count = 1 + static_cast<int64_t>(random() % 9);
    const Numbers shards = split(costs, count);
    REQUIRE(split(costs, count) == shards);
    std::vector<std::size_t> other(6);
    std::iota(other.begin(), other.end(), std::size_t{0});
    std::shuffle(other.begin(), other.end(), random);
    Costs renumbered = costs;
    for (CaseCost& each : renumbered.cases) each.group = other[each.group];
    for (std::size_t g = 0; g < other.size(); ++g) renumbered.openings[other[g]] = costs.openings[g];
    REQUIRE(split(renumbered, count) == shards);
  }
}

TEST_CASE("ten thousand cases are split in a moment", "[shard]") {
  std::mt19937 random(4);
  const Costs costs = generated(random, 10'000, 40);
  const Numbers loads = loads_of(costs, split(costs, 64), 64);
  CHECK(most(loads) <= bound_of(costs, 64));
  CHECK(static_cast<double>(most(loads)) <=
        1.1 * static_cast<double>(std::accumulate(loads.begin(), loads.end(), int64_t{0})) / 64);
}
