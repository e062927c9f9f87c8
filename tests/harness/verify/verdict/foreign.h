// What the tests of other people's engines share: stand-ins with fewer abilities, and what reports say.
#pragma once

#include <algorithm>
#include <set>

#include "tests/harness/verify/verdict/stand_in.h"

namespace kvproof::testing {

using Words = std::vector<std::string>;

inline bool says(const Words& sentences, const std::string& part) {
  for (const std::string& sentence : sentences)
    if (sentence.find(part) != std::string::npos) return true;
  return false;
}

inline int64_t times_said(const Words& sentences, const std::string& part) {
  return std::count_if(sentences.begin(), sentences.end(),
                       [&](const std::string& sentence) { return sentence.find(part) != std::string::npos; });
}

inline Abilities without(std::initializer_list<Ability> which, Abilities of = Abilities::all()) {
  Abilities rest;
  for (const Ability ability : of.list())
    if (std::find(which.begin(), which.end(), ability) == which.end()) rest.add(ability);
  return rest;
}

inline std::set<std::string> kinds_run(const VerifyReport& report) {
  std::set<std::string> kinds;
  for (const ScenarioOutcome& outcome : report.outcomes)
    if (outcome.skipped.empty()) kinds.insert(outcome.name.substr(0, outcome.name.find_first_of("[/")));
  return kinds;
}

inline StandInOptions that_can(Abilities can) {
  StandInOptions options;
  options.can = options.generate_uses = can;
  return options;
}

/// Without tokens of its own loop and threads: nothing but caches, and cheap.
inline const VerifyOptions kCaches = {.depth = Depth::quick, .seconds = 1, .vectors = false, .behaviour = false};

}  // namespace kvproof::testing
