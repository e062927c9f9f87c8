// What the failures around one divergence have in common with it: questions that a meaning is found by.
#pragma once

#include <string>
#include <vector>

#include "harness/verify/clue.h"
#include "harness/verify/failure.h"
#include "harness/verify/localise.h"

namespace kvproof {

/// The divergence that is judged, among all outcomes.
struct Pattern {
  const std::vector<ScenarioOutcome>& outcomes;
  const std::vector<Failure>& failures;  // that which tells most first: it is judged
  const LocaliseFacts& facts;

  const Failure& first() const { return failures.front(); }
  const Finding& finding() const { return first().finding; }
  const Place& at() const { return finding().place; }
  const std::string& stage() const { return at().stage; }

  // --- of the finding itself

  /// Whether its evidence has one of clue.h's phrases.
  bool clue(const char* phrase) const { return contains(finding().evidence, phrase); }
  bool is_error() const { return contains(finding().message, "ended in an error"); }

  // --- of its scenario

  /// Whether another stage differs at the same step and layer.
  bool also(const std::string& stage) const;
  /// Whether K, or V, is wrong in the slots of the same step and layer.
  bool slots_wrong(const std::string& tensor) const;
  bool slots_compared() const { return first().outcome->level(Level::keys_values).checks > 0; }
  /// "K differs but V matches in layer 2, and so do queries"
  std::string key_value_pattern() const;
  /// No row 0 differs where this one does.
  bool only_rows_above_zero() const;

  // --- of the other scenarios in its dtype

  /// Whether a scenario of this kind ran and passed.
  bool passes(const std::string& kind) const;
  /// It is of a batch, and plain scenarios of one row pass.
  bool only_batches_fail() const;
  /// Rows make the difference: the place is the same in many but never in the first, or only batches fail.
  bool rows_matter() const;
  /// The first position with wrong logits, in any failed scenario that only went forward.
  int64_t first_wrong_position() const;
  /// The window at whose edge logits begin to be wrong; kNowhere: none.
  int64_t window_at_fault() const;

  // --- of all

  /// Everything that ran in float64 passes, this kind of scenario among it.
  bool rounding_only() const;
  /// Something fails that is no generation.
  bool cache_fails() const;
};

}  // namespace kvproof
