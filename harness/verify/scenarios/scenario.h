// The kinds of scenarios a cache is put through: a name of one line says all, and makes the same script again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/subject/subject.h"
#include "harness/verify/scenarios/script.h"

namespace kvproof {

/// kind[parameter,…]/dtype, as in "chunks[1,299]/float64".
struct ScenarioName {
  std::string kind;
  std::vector<int64_t> parameters;
  std::string dtype;

  std::string text() const;
};

/// throws ArgumentError (place "--only"): not of that form
ScenarioName parse_scenario(const std::string& text);

struct ScenarioKind {
  std::string name;
  std::string parameters;  // "prompt, steps"
  std::string summary;     // one sentence
};
/// Of caches; the generators' are behaviour's.
const std::vector<ScenarioKind>& scenario_kinds();
bool is_cache_scenario(const std::string& kind);

/// throws ArgumentError (place "--only"): an unknown kind, too few or too many parameters, parameters out of range, more
///        positions than the rotary tables hold
Script make_script(const ScenarioName& name, const SubjectInfo& info, uint64_t seed);

/// n ids below the vocabulary size, none twice within a vocabulary's length; a pure function of its arguments.
Tokens distinct_tokens(uint64_t seed, uint64_t stream, int64_t n, int64_t vocab_size);

}  // namespace kvproof
