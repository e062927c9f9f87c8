// What verification notes down: one comparison that failed, and what one scenario came to. Pure data.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <map>
#include <string>
#include <vector>

namespace kvproof {

/// What is compared, cheapest first.
enum class Level {
  invariants,   // L0: positions, capacities, bytes that must not change, storage of one's own, counters
  tokens,       // L1: free-running greedy, margin-aware
  logits,       // L2: the same tokens through both paths
  keys_values,  // L3: what the cache holds, against recomputation
  side_state,   // L4: what flows between the operations: embedding, smear, queries, heads, residual stream
  behaviour,    // L5: max_tokens, stop, forced tokens, masks, num_samples, seeds
};
inline constexpr std::array kLevels = {Level::invariants,  Level::tokens,     Level::logits,
                                       Level::keys_values, Level::side_state, Level::behaviour};
std::string level_code(Level level);  // "L0"
std::string level_name(Level level);  // "invariants"

inline constexpr int64_t kNowhere = -1;

/// Where two paths part. Whatever does not apply is kNowhere or empty.
struct Place {
  int64_t step = kNowhere;  // operation of the scenario, or generated token, from 0
  std::string operation;    // what that step did: "prefill of 7", "decode", "clone to 3 rows", "generate"
  int64_t row = kNowhere, layer = kNowhere, position = kNowhere, head = kNowhere;
  std::string stage;   // embed, smear, query, key, value, cache, attention, layer, logits, tokens, state
  std::string tensor;  // "K" or "V"
};

struct Finding {
  Level level = Level::invariants;
  Place place;
  double error = 0, allowed = 0;  // 0, 0 where it is no matter of distance
  std::string message;            // a sentence without full stop: what was expected, what was found
  std::string evidence;           // what the wrong numbers look like: "slot 7 holds position 6's key"; may be empty
};

/// Comparisons of one level in one scenario.
struct LevelTally {
  int64_t checks = 0, failures = 0;
  double worst_error = 0;  // largest absolute difference
  double worst_ratio = 0;  // largest error / allowed: above 1 fails

  void add(double error, double allowed) {
    ++checks;
    const double ratio = allowed > 0 ? error / allowed : (error > 0 ? 1e300 : 0);
    if (!(error <= worst_error)) worst_error = error;  // NaN wins
    if (!(ratio <= worst_ratio)) worst_ratio = ratio;
    if (!(ratio <= 1)) ++failures;
  }
  void add_fact(bool holds) {
    ++checks;
    if (!holds) ++failures;
  }
  void merge(const LevelTally& other) {
    checks += other.checks;
    failures += other.failures;
    if (!(other.worst_error <= worst_error)) worst_error = other.worst_error;
    if (!(other.worst_ratio <= worst_ratio)) worst_ratio = other.worst_ratio;
  }
};

/// The largest absolute difference at each position, over all rows (and layers).
using PositionErrors = std::map<int64_t, double>;

struct ScenarioOutcome {
  std::string name;  // "chunks[1,299]/float64": --only takes it
  uint64_t seed = 0;
  std::array<LevelTally, kLevels.size()> levels = {};
  std::vector<Finding> findings;  // in order of discovery, at most kMostFindings
  std::array<PositionErrors, kLevels.size()> errors = {};  // of the levels that compare numbers
  std::string skipped;         // why it was not run; empty: it was
  std::string broke_off;       // an error that ended it early; counts as a failure
  bool subject_broke = false;  // by a subject that died, hung or broke the protocol
  bool latent = false;         // it does what the subject's own generation never does

  static constexpr std::size_t kMostFindings = 64;
  LevelTally& level(Level l) { return levels[static_cast<std::size_t>(l)]; }
  const LevelTally& level(Level l) const { return levels[static_cast<std::size_t>(l)]; }
  PositionErrors& errors_of(Level l) { return errors[static_cast<std::size_t>(l)]; }
  const PositionErrors& errors_of(Level l) const { return errors[static_cast<std::size_t>(l)]; }
  bool failed() const {
    for (const LevelTally& tally : levels)
      if (tally.failures > 0) return true;
    return !broke_off.empty();
  }
  void note(Finding finding) {
    if (findings.size() < kMostFindings) findings.push_back(std::move(finding));
  }
};

}  // namespace kvproof
