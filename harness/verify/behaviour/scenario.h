// One scenario under way: its integers, its target, and requests made of both.
#pragma once

#include <string>
#include <vector>

#include "harness/verify/behaviour/judge.h"

namespace kvproof {

/// Integers that make no scenario: the caller's fault, not the subject's.
struct BadScenario {
  std::string message;
};

class BehaviourScenario {
 public:
  BehaviourScenario(std::string name, std::vector<int64_t> numbers, uint64_t seed, const BehaviourTarget& target,
                    ScenarioOutcome& outcome)
      : target(target), judge(this->target, outcome), name_(std::move(name)), numbers_(std::move(numbers)),
        seed_(seed) {}

  const BehaviourTarget target;
  BehaviourJudge judge;

  const std::vector<int64_t>& numbers() const { return numbers_; }
  int64_t count() const { return static_cast<int64_t>(numbers_.size()); }
  /// The i-th integer. throws BadScenario unless it lies in [low, high]
  int64_t number(int64_t i, const char* what, int64_t low, int64_t high) const;
  int64_t rows(int64_t i) const { return number(i, "rows", 1, 64); }
  int64_t prompt(int64_t i) const { return number(i, "the prompt's length", 1, target.rotary_len); }
  int64_t tokens(int64_t i, int64_t prompt) const { return number(i, "tokens", 0, target.rotary_len - prompt + 1); }

  uint64_t seed(int64_t salt = 0) const;
  /// Ordinary tokens, the same for the same seed.
  std::vector<TokenId> some_tokens(int64_t n, int64_t salt = 0) const;
  /// Sampling at temperature 1; stop and tools off.
  GenerationRequest request(int64_t rows, int64_t prompt, int64_t tokens) const;
  /// Both paths are held against the expectation.
  void check_both(const GenerationRequest& request);

 private:
  std::string name_;
  std::vector<int64_t> numbers_;
  uint64_t seed_;
};

struct BehaviourKind {
  const char* name;
  const char* numbers;  // "rows, prompt, tokens"
  int64_t least, most;  // integers
  bool staged;          // needs a scripted model
  void (*run)(BehaviourScenario&);
};

const std::vector<BehaviourKind>& plain_kinds();   // on any model
void run_errors(BehaviourScenario& scenario);      // one of them: errors[prompt]
const std::vector<BehaviourKind>& staged_kinds();  // on a scripted one
int64_t script_tool_cases();                       // of script_tools[case]

}  // namespace kvproof
