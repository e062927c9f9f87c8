// A subject's numbers against those of recomputation: where they part, and what the wrong ones look like.
#pragma once

#include <cstring>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "harness/subject/subject.h"
#include "harness/verify/finding.h"
#include "harness/verify/scenarios/evidence.h"
#include "harness/verify/scenarios/execute.h"
#include "harness/verify/scenarios/script.h"
#include "harness/verify/scenarios/trace.h"

namespace kvproof {

inline bool same_bits(const double* a, const double* b, std::size_t n) {
  return std::memcmp(a, b, n * sizeof(double)) == 0;
}

/// Where a scenario stands: the step it is at, and what its caches must hold behind it.
struct Standing {
  int64_t step = 0;
  std::string operation;  // as findings name it
  int cache = 0;          // that the step is done to
  Caches caches = {};
  std::vector<ExpectedCache> before = {}, expected = {};  // before the step and behind it, by the caches' numbers
  std::vector<int64_t> forward_from = {};  // (B) each row's length before a forward; empty: the step is none
  bool steps_right = false;                // a forward of one token, behind others, was right

  const SubjectCache& own_cache() const { return *caches[cache]; }
  const std::vector<Tokens>& own_rows() const { return expected[cache].rows; }
};

/// Holds what a subject shows against what it should be, counts it, and notes what is wrong in the outcome.
class Comparison {
 public:
  /// All but histories must outlive this.
  /// histories  of the script
  Comparison(const Standing& standing, const SubjectInfo& info, std::vector<Tokens> histories, TraceBank& bank,
             ScenarioOutcome& outcome)
      : standing_(standing), info_(info), histories_(std::move(histories)), bank_(bank), outcome_(outcome) {}

  /// The step that is being judged. row: kNowhere where it is no matter of one
  Place place(int64_t row, const std::string& stage) const;

  /// message  read where it does not hold
  void fact(Level level, bool holds, const Place& at, const std::string& message);
  void fact_holds(Level level) { outcome_.level(level).add_fact(true); }

  /// Compares (count, width) numbers and notes the first position where they part, with evidence for the first finding
  /// of its stage and tensor.
  ///
  /// at       in a row of the standing's own cache
  /// allowed  the largest distance that is right
  /// what     is wrong, as the message begins: "row 1's logits"
  /// returns  the largest distance
  double compare(Level level, Place at, std::span<const double> found, std::span<const double> expected, int64_t width,
                 double allowed, int64_t first_position, const std::string& what);

  /// All the script's histories at once, while the subject holds no cache.
  void recompute_all() {
    for (const Tokens& history : histories_) bank_.of(history);
  }
  /// Recomputation of a row that a script makes; valid until the bank drops it.
  const Trace& trace_of(const Tokens& row) { return bank_.of(history_of(row)); }

 private:
  std::string name_heads(std::span<const double> found, std::span<const double> expected, double allowed,
                         Place& at) const;
  std::string explain(const Finding& finding, std::span<const double> found);
  std::vector<OtherSequence> other_sequences(const Tokens& own);
  const Tokens& history_of(const Tokens& row) const;

  const Standing& standing_;
  const SubjectInfo& info_;
  std::vector<Tokens> histories_;
  TraceBank& bank_;
  ScenarioOutcome& outcome_;
  std::set<std::string> explained_;  // stage and tensor
};

}  // namespace kvproof
