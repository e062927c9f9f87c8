// From many failed comparisons to one sentence: where two paths first part, and what the pattern means.
// Pure: it sees outcomes, never a fault's name.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/verify/finding.h"

namespace kvproof {

/// The part of an engine that the pattern points to.
enum class Suspect {
  embedding,        // embed differs
  smear,            // what is taken from the previous token
  position,         // RoPE or the position given to it
  qk_scale,         // QK-norm or scale: keys or queries are the right ones, stretched
  value_embedding,  // V differs where K does not
  projection,       // K and V both differ, on equal inputs
  cache_write,      // right keys and values computed, wrong ones stored
  mask,             // attention inside a chunk: what a token may see of its own chunk
  window,           // attention past the window
  head_map,         // which kv head a query head reads
  key_range,        // which slots are read: length, stale tail, capacity
  attention,        // attention, no narrower
  layer,            // c_proj, mlp, residual stream, lambdas
  head,             // final norm, backout, lm_head, softcap: the layers are right, the logits wrong
  clone,            // replication to rows
  retain,           // rows that leave a batch
  rollback,         // truncate
  reset,            // reuse
  growth,           // reserve
  capacity,         // refusal of what does not fit
  row,              // rows of a batch mixed up
  state,            // positions or tokens the cache remembers
  generation,       // the loop around the model: stop, forced tokens, masks, counts
  sampling,         // choice of a token from right logits
  precision,        // logic right, rounding larger than the dtype explains
  unknown,
};
std::string to_string(Suspect suspect);  // "cache write"

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
