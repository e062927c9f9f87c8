// What one scenario's outcome says by itself: its kind, what was done, and where it first went wrong.
#pragma once

#include <string>
#include <vector>

#include "harness/verify/finding.h"

namespace kvproof {

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Of a name as "chunks[1,299]/float64": "chunks" and "float64", which is empty where there is none.
std::string kind_of(const std::string& scenario);
std::string dtype_of(const std::string& scenario);

/// What was done where a finding was made, as the operation's words tell.
bool is_twin(const Finding& finding);     // the second of two runs that must not differ
bool is_forward(const Finding& finding);  // one that must go through, on a cache
bool is_generation(const Finding& finding);
/// What was done to the cache before the forward: "truncate to 4"; empty: nothing but forwards.
std::string change_before(const Finding& finding);

/// An outcome that failed, and where it first did. What broke off before anything was compared has a finding of its own.
struct Failure {
  const ScenarioOutcome* outcome;
  Finding finding;  // the earliest divergence by step, layer and stage; a twin's behind all others
  std::string kind, dtype;
};

/// All failures, the one that tells most first: float64 before what rounds, forwards on an untouched cache before what
/// follows other operations, caches before generations; else in the suite's order. They refer to the outcomes.
std::vector<Failure> failures_of(const std::vector<ScenarioOutcome>& outcomes);

}  // namespace kvproof
