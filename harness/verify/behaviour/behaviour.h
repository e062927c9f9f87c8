// Does a generation keep its promises? Both paths of a subject against an expectation of their own: tokens, masks, stops,
// forced tokens, limits, counts. Levels tokens (greedy, naive against engine) and behaviour.
#pragma once

#include <string>
#include <vector>

#include "harness/subject/subject.h"
#include "harness/verify/finding.h"

namespace kvproof {

class ScriptedModel;

/// What scenarios run on.
struct BehaviourTarget {
  Subject& subject;  // judged
  Subject& exact;    // the same weights in float64: its uncached logits are what is expected to be chosen from
  int64_t vocab_size = 0, rotary_len = 0;
  const SpecialTokens* specials = nullptr;  // null: nothing that stops
  const Tokenizer* tokenizer = nullptr;     // null: no tools
  int64_t kv_bytes_per_token = 0;           // of one row; 0: kv_cache_bytes is not looked at
  ScriptedModel* script = nullptr;          // where the subject runs one: logits are exact, and may be staged
};

/// What decides which scenarios make sense.
struct BehaviourFacts {
  std::string dtype = "float32";  // of the subject
  int64_t vocab_size = 0, rotary_len = 0;
  bool has_tokenizer = false;
};

bool is_behaviour(const std::string& kind);

/// Names for a user's model, "samples[3,8,12]/float64": kind[integers]/dtype.
/// quick: below 1 s on a model of 4 layers; full: below 8 s
std::vector<std::string> behaviour_suite(bool full, const BehaviourFacts& facts);

/// The same for somebody else's engine: what its caches and its own loop generate greedily.
std::vector<std::string> foreign_behaviour_suite(const BehaviourFacts& facts, Abilities can);

/// Runs one scenario. The seed chooses the prompt and the sampler's seeds. What the subject throws ends up in broke_off.
/// throws ArgumentError: an unknown kind (lists the known), wrong integers, another dtype than the subject's
ScenarioOutcome run_behaviour(const std::string& name, uint64_t seed, const BehaviourTarget& target);

}  // namespace kvproof
