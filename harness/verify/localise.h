// From many failed comparisons to one sentence: where two paths first part, and what the pattern means.
// Pure: it sees outcomes, never a fault's name.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/verify/finding.h"
#include "harness/verify/suspect.h"

namespace kvproof {

struct Divergence {
  std::string
      scenario;  // that failed: in float64 before coarser dtypes, forwards alone before other operations, caches
                 // before generations; else the suite's first
  uint64_t seed = 0;
  Finding finding;  // its earliest divergence by (step, layer, stage), facts of L0 where nothing earlier is wrong
  Suspect suspect = Suspect::unknown;
  std::string hint;  // "the engine turns keys by the wrong position", a sentence for people, without full stop
  std::string
      evidence;  // "K differs but V matches, from the second chunk on; the key is turned by one position too many"
};

/// What is known of the engine that the outcomes are of.
struct LocaliseFacts {
  bool stages_shown = true;           // false: slots and logits at most; slots were compared with those of one prefill
  std::vector<int64_t> windows = {};  // of its layers, as far as they end before its positions do
};

/// Nothing where no outcome failed. outcomes: in the order of the suite, simple scenarios first; those that passed or were
/// not in float64 count as evidence too. Findings' evidence is read by the phrases of clue.h.
std::optional<Divergence> localise(const std::vector<ScenarioOutcome>& outcomes, const LocaliseFacts& facts = {});

}  // namespace kvproof
