#include "harness/machine/peaks/contest.h"

#include "tests/support/catch.h"

using namespace kvproof;

namespace {

/// A clock that only the contenders move.
struct ManualClock {
  int64_t now = 1000;
  Clock clock() {
    return [this] { return now; };
  }
  /// Takes the next of these times at each call, then the last again and again.
  Contender takes(const std::string& by, std::vector<int64_t> times) {
    return {by, [this, times, call = std::size_t{0}]() mutable { now += times[std::min(call++, times.size() - 1)]; }};
  }
};

double rate_of(const Rates& rates, const std::string& by) {
  for (const NamedRate& way : rates.ways)
    if (way.by == by) return way.per_s;
  return -1;
}

}  // namespace

TEST_CASE("the best round of each way counts, and the best way of all", "[peaks]") {
  ManualClock time;
  const Rates rates = contest(600, {time.takes("slow", {400, 300, 600}), time.takes("fast", {500, 200, 300})},
                              {1000000, 3}, time.clock());
  CHECK(rates.rounds == 3);
  CHECK(rate_of(rates, "slow") == 2e9);
  CHECK(rate_of(rates, "fast") == 3e9);
  CHECK(rates.best()->by == "fast");
  CHECK(rates.best()->per_s == 3e9);
}

TEST_CASE("contenders take turns", "[peaks]") {
  std::string order;
  int64_t now = 0;
  const auto named = [&](const char* name) {
    return Contender{name, [&order, &now, name] { order += name, now += 1; }};
  };
  contest(1, {named("a"), named("b")}, {1000, 3}, [&] { return now; });
  CHECK(order == "ababab");
}

TEST_CASE("no round begins after the budget, and one runs however long it takes", "[peaks]") {
  ManualClock time;
  CHECK(contest(1, {time.takes("a", {40})}, {100, 1000}, time.clock()).rounds == 3);
  CHECK(contest(1, {time.takes("a", {5000})}, {100, 1000}, time.clock()).rounds == 1);
  CHECK(contest(1, {time.takes("a", {5000})}, {0, 1000}, time.clock()).rounds == 1);
}

TEST_CASE("a work during which the clock stood still counts for nothing", "[peaks]") {
  ManualClock time;
  const Rates rates =
      contest(100, {time.takes("coarse", {0, 50, 0}), time.takes("still", {0})}, {1000, 3}, time.clock());
  CHECK(rates.best()->by == "coarse");
  CHECK(rates.best()->per_s == 2e9);
  CHECK_FALSE(contest(100, {time.takes("still", {0})}, {1000, 3}, time.clock()).best().has_value());
  CHECK_FALSE(Rates{}.best().has_value());
}

TEST_CASE("of equal ways the first is named", "[peaks]") {
  CHECK(Rates{{{"first", 2}, {"second", 2}}, 1}.best()->by == "first");
}

TEST_CASE("of two contests each way's larger rate counts", "[peaks]") {
  const Rates before{{{"a", 10}, {"b", 30}}, 4}, after{{{"b", 20}, {"a", 15}, {"c", 5}}, 3};
  const Rates both = larger(before, after);
  CHECK(both.rounds == 7);
  CHECK(rate_of(both, "a") == 15);
  CHECK(rate_of(both, "b") == 30);
  CHECK(rate_of(both, "c") == 5);
  CHECK(larger(after, before).best()->per_s == 30);
  CHECK(larger(Rates{}, before).best()->per_s == 30);
}
