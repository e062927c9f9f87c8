// Holds what a path generated against what was expected, and says where and how they part.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/verify/behaviour/behaviour.h"
#include "harness/verify/behaviour/expected_generation.h"
#include "harness/verify/finding.h"

namespace kvproof {

/// A generation, and what its observer saw.
struct Recorded {
  GenerationResult result;
  std::vector<GenerationStep> steps;
  std::vector<int64_t> forwards;
};

/// abandon_at  the step after which the observer says that it wants no more
Recorded record_generation(Subject& subject, Path path, const GenerationRequest& request,
                           std::optional<int64_t> abandon_at = {});

/// Exact logits by history. A hinted sequence costs one forward for all positions; any other history one of its own.
class ExactLogits {
 public:
  explicit ExactLogits(Subject& exact) : exact_(exact) {}
  /// first  the first position whose logits will be asked for
  void hint(const std::vector<TokenId>& history, int64_t first);
  std::vector<double> operator()(const std::vector<TokenId>& history);
  void forget() { known_.clear(); }

 private:
  struct Known {
    std::vector<TokenId> tokens;
    LogitRows logits;
  };
  Subject& exact_;
  std::vector<Known> known_;  // the newest last; few, for a vocabulary is long
};

std::string generate_operation(Path path);  // "generate (engine)"

class BehaviourJudge {
 public:
  BehaviourJudge(const BehaviourTarget& target, ScenarioOutcome& outcome)
      : target_(target), outcome_(outcome), exact_(target.exact) {}

  /// Runs a path and compares all of it: tokens, masks, ends, steps, counts. returns what was generated
  Recorded check(Path path, const GenerationRequest& request, std::optional<int64_t> abandon_at = {},
                 const StepDraw& draw = {});

  /// One comparison of level behaviour. finding  noted where it does not hold
  void fact(bool holds, Path path, int64_t step, int64_t row, const std::string& message,
            const std::string& evidence = {});

  ScenarioOutcome& outcome() { return outcome_; }
  /// Exact logits of this scenario.
  std::vector<double> logits(const std::vector<TokenId>& history) { return exact_(history); }
  ExpectationRules rules() const;

 private:
  struct Comparison;
  /// returns false where the row must not be looked at further: it differs, or a tie explains that it does
  bool compare_stream(const Comparison& c, int64_t row);
  void compare_row(const Comparison& c, int64_t row);
  void compare_totals(const Comparison& c);
  bool is_tie(const Comparison& c, int64_t row, int64_t step, TokenId actual, Finding& finding);
  double rounding(const Comparison& c, const std::vector<TokenId>& history) const;

  const BehaviourTarget& target_;
  ScenarioOutcome& outcome_;
  ExactLogits exact_;
  bool tied_ = false;  // in the comparison under way
};

}  // namespace kvproof
