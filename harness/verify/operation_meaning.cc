#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "harness/verify/meaning.h"

namespace kvproof {
namespace {

struct OperationRule {
  const char* word;
  Suspect suspect;
  const char* itself;  // the operation leaves wrong things behind
  const char* later;   // it seems right, and what follows is not
};

/// Null: no rule knows it.
const OperationRule* rule_of(const std::string& operation) {
  static constexpr std::array kRules = {
      OperationRule{"clone", Suspect::clone, "cloning does not make rows of their own that equal their source",
                    "after cloning, a forward does not see what the cloned rows should hold"},
      OperationRule{"retain", Suspect::retain, "letting rows leave a batch mixes up or loses what the others hold",
                    "after rows have left a batch, a forward does not see what the others should hold"},
      OperationRule{"truncate", Suspect::rollback, "rolling back does not leave the cache as it was at that length",
                    "after rolling back, a forward still sees something of what was forgotten, or not what was kept"},
      OperationRule{"reset", Suspect::reset, "a reset does not leave the cache empty",
                    "after a reset, a forward still sees something of the earlier use"},
      OperationRule{"grow", Suspect::growth, "growing loses or moves what the cache holds",
                    "after growing, a forward does not see what the cache should hold"},
      OperationRule{"refus", Suspect::capacity, "a refusal of what does not fit leaves the cache changed",
                    "after a refusal, which should change nothing, a forward goes wrong"},
      OperationRule{"NaN", Suspect::key_range, "slots that nothing holds are read",
                    "slots that nothing holds are read"},
      OperationRule{"new cache", Suspect::state, "a new cache is not empty, or not of its own storage",
                    "a new cache is not empty"},
  };
  for (const OperationRule& rule : kRules)
    if (contains(operation, rule.word)) return &rule;
  return operation == "being cloned" ? kRules.begin() : nullptr;
}

std::string stage_word(const Pattern& p) { return p.stage() == "state" ? "length or memory of tokens" : p.stage(); }

}  // namespace

Meaning meaning_of_generation(const Pattern& p) {
  const bool naive = contains(p.at().operation, "naive");
  const std::string path = naive ? "the naive generator" : "the engine's generator";
  const std::string all = p.finding().message + " " + p.finding().evidence;
  static constexpr std::array kOfDraws = {"noise", "seed", "top_k", "temperature", "draw", "multinomial"};
  static constexpr std::array kOfDrawing = {"samples", "top_k", "temperature", "seeds", "nanochat"};
  const auto says = [&](const char* word) { return contains(all, word); };
  const bool draws = std::any_of(kOfDraws.begin(), kOfDraws.end(), says);
  const bool known = !p.finding().evidence.empty() || !p.finding().message.starts_with("expected token");
  const bool drawing = std::count(kOfDrawing.begin(), kOfDrawing.end(), p.first().kind) > 0;
  const std::string pattern = p.cache_fails() ? "" : "no comparison of logits or caches fails";
  if (draws || (!known && drawing))
    return {Suspect::sampling, path + " chooses other tokens than the sampler's settings ask for, out of right logits",
            pattern};
  return {Suspect::generation, path + " goes wrong in its loop: which tokens are fed, forced, kept, counted or ended",
          pattern};
}

Meaning meaning_of_twin(const Pattern& p) {
  if (p.first().kind == "row_independence")
    return {Suspect::row, "what one row holds changes another row's results", "only another row's tokens were changed"};
  if (p.first().kind == "causality")
    return {Suspect::mask, "later tokens of a chunk change the results of earlier ones",
            "only later tokens were changed"};
  return {Suspect::state, "the same operations done twice give other results",
          "all comparisons with recomputation pass"};
}

Meaning meaning_of_refusal(const Pattern& p) {
  if (contains(p.finding().message, "without a word"))
    return {Suspect::capacity, "the engine takes more tokens than fit instead of refusing them", ""};
  return {Suspect::capacity, "a refusal of what does not fit leaves the cache changed or is no clean refusal", ""};
}

Meaning meaning_of_operation(const Pattern& p) {
  const std::string& operation = p.at().operation;
  const OperationRule* rule = rule_of(operation);
  if (!rule) return {Suspect::unknown, "the scenario could not be carried out: " + p.finding().message, ""};
  return {rule->suspect, rule->itself, fmt::format("the divergence is there right after \"{}\"", operation)};
}

Meaning meaning_after(const Pattern& p, const std::string& change) {
  const OperationRule* rule = rule_of(change);
  if (!rule) return meaning_of_stage(p);
  if (p.is_error()) return {rule->suspect, rule->later, p.finding().message};
  return {
      rule->suspect, rule->later,
      fmt::format("forwards on caches without \"{}\" pass, the one after it goes wrong in its {}", change, stage_word(p))};
}

}  // namespace kvproof
