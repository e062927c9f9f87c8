// What recomputation gives for a sequence of tokens: the reference every cached forward is held against.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "harness/subject/subject.h"
#include "harness/verify/gates.h"
#include "harness/verify/scenarios/script.h"

namespace kvproof {

/// One stage of one layer, or the logits, over all positions of a sequence.
struct TracedValues {
  int64_t width = 0;
  std::vector<double> exact;       // (positions, width)
  std::vector<bool> present = {};  // (positions) which of them are known; empty: all
  double naive_error = 0;          // max |naive - exact| over the sequence; 0 where the naive path is the exact one
  double allowed = 0;              // the gate's word on it

  std::span<const double> at(int64_t index) const {
    return {exact.data() + index * width, static_cast<std::size_t>(width)};
  }
};

struct Trace {
  Tokens tokens;
  std::vector<int64_t> positions;  // whose logits are kept, ascending: all of them where memory allows
  TracedValues logits;             // (positions, V)
  std::map<std::pair<Stage, int64_t>, TracedValues> stages;  // (T, width)
  bool from_slots = false;  // stages are keys and values as the subject's own cache showed them

  /// The exact logits of a position; empty if they were not kept.
  std::span<const double> logits_at(int64_t position) const;
  int64_t numbers() const;
};

/// Positions of one trace whose logits are kept where each takes a request of its own (no all_logits).
inline constexpr int64_t kRequestsOfATrace = 24;

/// Makes traces on demand and keeps the newest.
///
/// A subject that is its own reference in a dtype that rounds says how much: the same positions are computed once more with
/// one token behind, which changes shapes and no result. One that shows no stages but its slots has keys and values of one
/// prefill as their reference.
class TraceBank {
 public:
  /// naive  the uncached path under test
  /// exact  the same weights in float64 on the CPU; null where `naive` is its own reference
  TraceBank(Subject& naive, Subject* exact, Gate gate) : naive_(naive), exact_(exact), gate_(std::move(gate)) {}

  /// A trace whose tokens begin with these. throws what the subjects throw
  const Trace& of(const Tokens& tokens);

  const Gate& gate() const { return gate_; }
  /// Sequences whose logits were kept at some positions only.
  int64_t sampled() const { return sampled_; }

 private:
  struct Pass;
  std::unique_ptr<Trace> make(const Tokens& tokens);
  Pass pass_over(Subject& subject, const Trace& trace, const Tokens& tokens) const;

  Subject& naive_;
  Subject* exact_;
  Gate gate_;
  std::list<std::unique_ptr<Trace>> traces_;  // newest first
  int64_t sampled_ = 0;
};

}  // namespace kvproof
