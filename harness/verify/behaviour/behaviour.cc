#include "harness/verify/behaviour/behaviour.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "harness/error.h"
#include "harness/verify/behaviour/scenario.h"

namespace kvproof {
namespace {

struct ParsedName {
  std::string kind, dtype;
  std::vector<int64_t> numbers;
};

ParsedName parse(const std::string& name) {
  const auto open = name.find('['), close = name.find(']');
  if (open == std::string::npos || close == std::string::npos || close < open || close + 1 >= name.size() ||
      name[close + 1] != '/')
    throw ArgumentError(
        "scenario", fmt::format("expected kind[integers]/dtype, such as samples[3,8,12]/float64; found \"{}\"", name));
  ParsedName parsed{name.substr(0, open), name.substr(close + 2), {}};
  const char *at = name.data() + open + 1, *end = name.data() + close;
  while (at < end) {
    int64_t number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    const bool last = next == end;
    if (error != std::errc() || (!last && *next != ',') || (!last && next + 1 == end))
      throw ArgumentError("scenario", fmt::format("expected integers with commas between them in \"{}\"", name));
    parsed.numbers.push_back(number);
    at = last ? end : next + 1;
  }
  return parsed;
}

const BehaviourKind* find_kind(const std::string& kind) {
  for (const auto* kinds : {&plain_kinds(), &staged_kinds()})
    for (const BehaviourKind& one : *kinds)
      if (kind == one.name) return &one;
  return nullptr;
}

std::string known_kinds() {
  std::vector<std::string> usages;
  for (const auto* kinds : {&plain_kinds(), &staged_kinds()})
    for (const BehaviourKind& one : *kinds) usages.push_back(fmt::format("{}[{}]", one.name, one.numbers));
  return fmt::format("{}", fmt::join(usages, ", "));
}

const BehaviourKind& known_kind(const ParsedName& parsed, const BehaviourTarget& target) {
  const BehaviourKind* kind = find_kind(parsed.kind);
  if (!kind)
    throw ArgumentError("scenario", fmt::format("unknown kind \"{}\"; known are {}", parsed.kind, known_kinds()));
  const auto count = static_cast<int64_t>(parsed.numbers.size());
  if (count < kind->least || count > kind->most)
    throw ArgumentError("scenario", fmt::format("expected {}[{}], got {} integers", kind->name, kind->numbers, count));
  if (kind->staged && !target.script)
    throw ArgumentError("scenario", fmt::format("{} runs on the scripted model only", kind->name));
  const std::string dtype = target.subject.info().dtype;
  if (parsed.dtype != dtype)
    throw ArgumentError("scenario", fmt::format("expected dtype {}, the subject's, got \"{}\"", dtype, parsed.dtype));
  return *kind;
}

}  // namespace

bool is_behaviour(const std::string& kind) { return find_kind(kind) != nullptr; }

std::vector<std::string> behaviour_suite(bool full, const BehaviourFacts& facts) {
  std::vector<std::string> names = {"greedy[7,8]",       "samples[3,5,4]",  "top_k[4,2,5,4]",   "temperature[60,1,3]",
                                    "max_tokens[5,0]",   "max_tokens[5,1]", "max_tokens[5,2]",  "forced[2,1,1,2,5,4]",
                                    "seeds[3,3]",        "prefix[5,2,2]",   "abandon[2,5,4,1]", "observer[2,5,3]",
                                    "nanochat[2,5,3,0]", "errors[4]"};
  if (facts.has_tokenizer) names.insert(names.end(), {"stop[5,4,0,1,3,9]", "stop[5,12,0,2,99]", "tools[5,4]"});
  if (full) {
    names.insert(names.end(),
                 {"greedy[1,12]", "greedy[40,12]", "samples[1,9,8]", "samples[8,6,5]", "top_k[1,2,5,4]",
                  "top_k[50,3,5,6]", "temperature[5,6,4]", "temperature[150,6,6]", "rows[4,2,6,4]", "max_tokens[1,1]",
                  "max_tokens[1,2]", "forced[3,0,0,1,5,5]", "forced[3,2,1,3,5,6]", "seeds[8,5]", "prefix[9,1,5]",
                  "abandon[3,5,5,0]", "abandon[1,5,5,4]", "observer[3,7,5]", "nanochat[4,5,4,5]"});
    names.push_back(fmt::format("top_k[{},2,5,3]", facts.vocab_size - 1));
    names.push_back(fmt::format("top_k[{},1,5,2]", facts.vocab_size + 1));
    if (facts.has_tokenizer) names.insert(names.end(), {"stop[3,6,5,5,0]", "stop[3,5,9,2]", "tools[9,8]"});
    if (facts.rotary_len <= 1024) names.push_back(fmt::format("limit[{},2]", facts.rotary_len - 2));
  }
  for (std::string& name : names) name += "/" + facts.dtype;
  return names;
}

std::vector<std::string> foreign_behaviour_suite(const BehaviourFacts& facts, Abilities can) {
  std::vector<std::string> names;
  if (can.has(Ability::uncached)) names = {"greedy[1,12]", "greedy[7,8]"};
  if (can.has(Ability::generate)) {
    names.insert(names.end(), {"own[1,1,8]", "own[1,7,12]"});
    if (can.has(Ability::batch)) names.push_back("own[3,5,8]");
  }
  for (std::string& name : names) name += "/" + facts.dtype;
  return names;
}

ScenarioOutcome run_behaviour(const std::string& name, uint64_t seed, const BehaviourTarget& target) {
  const ParsedName parsed = parse(name);
  const BehaviourKind& kind = known_kind(parsed, target);
  ScenarioOutcome outcome;
  outcome.name = name;
  outcome.seed = seed;
  BehaviourScenario scenario(name, parsed.numbers, seed, target, outcome);
  try {
    kind.run(scenario);
  } catch (const BadScenario& bad) {
    throw ArgumentError("scenario", bad.message);
  } catch (const std::exception& error) {
    outcome.broke_off = words_of(error);
    outcome.subject_broke = is_subject_error(error);
  }
  return outcome;
}

}  // namespace kvproof
