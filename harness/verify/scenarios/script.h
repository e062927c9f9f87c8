// What a scenario does to a cache, as plain data: operations, and the tokens every row must hold after each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/model/step_plan.h"
#include "harness/subject/ability.h"

namespace kvproof {

using Tokens = std::vector<int32_t>;

/// One operation on one of the scenario's caches, which are numbered from 0.
struct CacheStep {
  enum class Kind { create, forward, clone, truncate, reset, reserve, retain, poison };
  Kind kind = Kind::create;
  int cache = 0;
  int source = 0;                   // clone: the cache that is copied; `cache` is the copy
  std::vector<int64_t> rows = {};   // clone: source rows; retain: rows kept; truncate: one row
  int64_t amount = 0;               // create: rows; truncate: length
  int64_t capacity = 0;             // create, clone, reserve
  std::vector<Tokens> tokens = {};  // forward: each row's, perhaps of different lengths
  LogitsAt at = LogitsAt::all;      // forward
  bool refused = false;             // forward: must be a CapacityError that changes nothing

  std::string describe() const;  // "prefill of 7 tokens", "decode", "clone to 3 rows"
};

/// A second run whose outcome must be the same to the bit where both did the same.
struct Twin {
  std::vector<CacheStep> steps;  // as many as the first run's, of the same shapes
  std::vector<int64_t> rows;     // rows that must not differ
  int64_t before_position = 0;   // logits below this position must not differ
};

struct Script {
  std::vector<CacheStep> steps;
  std::vector<Twin> twins;
  int threads = 0;  // 0: as they are
};

/// What a cache must hold, by the meaning of its operations alone.
struct ExpectedCache {
  std::vector<Tokens> rows;
  int64_t capacity = 0;
};

/// Applies a step to the expected caches, growing the list where a cache is new. A refused step changes nothing.
void apply(const CacheStep& step, std::vector<ExpectedCache>& caches);

/// What a subject must be able to do to run a script. rotary_len: of the subject
Abilities needs(const Script& script, int64_t rotary_len);

/// Every token history whose recomputation a script is compared with, none a prefix of another.
std::vector<Tokens> histories(const Script& script);

}  // namespace kvproof
