// Several ways of doing one piece of work, timed in turns: on a shared machine only the best of each says what it can.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace kvproof {

/// Nanoseconds; only differences mean something.
using Clock = std::function<int64_t()>;

/// One way, and what it reached.
struct NamedRate {
  std::string by;
  double per_s = 0;
};

/// The best rate of each way, in the order in which they were given.
struct Rates {
  std::vector<NamedRate> ways;
  int64_t rounds = 0;

  /// The fastest; of equals the first. Absent: the clock advanced in no round of any.
  std::optional<NamedRate> best() const;
};

/// Each way at its better of the two; ways that only one has are kept. Rounds add up.
Rates larger(const Rates& a, const Rates& b);

struct Contender {
  std::string by;
  std::function<void()> work;
};

struct ContestPolicy {
  int64_t budget_ns = 150'000'000;  // no round begins after it
  int64_t most_rounds = 1000;
};

/// Lets the contenders take turns, all of them in each round, at least one round.
///
/// amount  of one work, in what the rate counts: bytes, FLOPs
/// A work during which the clock did not advance does not count.
Rates contest(double amount, const std::vector<Contender>& contenders, const ContestPolicy& policy, const Clock& clock);

}  // namespace kvproof
