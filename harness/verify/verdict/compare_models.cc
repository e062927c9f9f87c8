#include "harness/verify/verdict/compare_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "engine/error.h"
#include "harness/verify/gates.h"
#include "harness/verify/scenarios/scenario.h"
#include "harness/verify/verdict/suite.h"

namespace kvproof {
namespace {

constexpr int64_t kShortPrompt = 8;

/// Lengths worth computing, ascending: a few tokens (as many as both have positions for), past each window, past sequence_len.
std::set<int64_t> lengths(const SubjectInfo& info, int64_t positions) {
  std::set<int64_t> all = {std::min(kShortPrompt, positions)};
  for (const int64_t window : info.windows)
    if (window + 3 <= info.rotary_len) all.insert(window + 3);
  if (info.sequence_len + 3 <= info.rotary_len) all.insert(info.sequence_len + 3);
  return all;
}

double seconds_of(int64_t tokens, const SubjectInfo& info) {
  const ScenarioName name{"prefill", {tokens}, info.dtype};
  return estimated_seconds(make_script(name, info, 0), info);
}

class Comparison {
 public:
  Comparison(Subject& tested, Subject& naive, Subject& exact)
      : tested_(tested), naive_(naive),
        exact_(exact), gate_{tested.info().dtype == "float64" ? "float32" : tested.info().dtype, kErrorRatioGate} {}

  void run(const Tokens& tokens, ModelReport& report) {
    const LogitRows ours = exact_.uncached_logits(tokens, 0), rounded = naive_.uncached_logits(tokens, 0),
                    theirs = tested_.uncached_logits(tokens, 0);
    const double naive_error = max_distance(rounded.values, ours.values);
    const double allowed = gate_.allowed(naive_error, max_magnitude(ours.values));
    report.allowed = report.allowed == 0 ? allowed : std::min(report.allowed, allowed);
    report.tokens = std::max(report.tokens, static_cast<int64_t>(tokens.size()));
    int64_t first = kNowhere, beyond = 0;
    for (int64_t position = 0; position < ours.rows; ++position, ++report.positions) {
      const double error = max_distance(theirs.at(position), ours.at(position));
      report.logits.add(error, allowed);
      report.worst = std::max(report.worst, error);
      if (error <= allowed) continue;
      ++beyond;
      if (first == kNowhere) first = position;
    }
    if (first == kNowhere) return;
    Finding f;
    f.level = Level::logits;
    f.place.operation = fmt::format("full recompute of {} tokens", tokens.size());
    f.place.stage = "logits";
    f.place.position = first;
    f.error = max_distance(theirs.at(first), ours.at(first));
    f.allowed = allowed;
    f.message = fmt::format("expected our engine's logits within {:.1e}, found them {:.1e} away at position {}",
                            allowed, f.error, first);
    f.evidence = fmt::format("{} of {} positions are beyond, the first is {}", beyond, ours.rows, first);
    report.findings.push_back(std::move(f));
  }

 private:
  Subject &tested_, &naive_, &exact_;
  Gate gate_;
};

}  // namespace

ModelReport compare_models(Subject& tested, Subject& naive, Subject& exact, uint64_t seed, double seconds) {
  const SubjectInfo theirs = tested.info(), ours = exact.info();
  if (theirs.vocab_size != ours.vocab_size)
    throw ArgumentError("--subject", fmt::format("its vocabulary has {} tokens, the checkpoint's {}; give the "
                                                 "checkpoint that it runs, or no model flags",
                                                 theirs.vocab_size, ours.vocab_size));
  ModelReport report;
  Comparison comparison(tested, naive, exact);
  double spent = 0;
  for (const int64_t length : lengths(ours, std::min(ours.rotary_len, theirs.rotary_len))) {
    if (length > theirs.rotary_len) {
      report.not_covered.push_back(
          fmt::format("the subject's model against ours on {} tokens and more: its positions end at {}", length,
                      theirs.rotary_len));
      break;
    }
    spent += 3 * seconds_of(length, ours);
    if (report.tokens > 0 && spent > seconds) {
      report.not_covered.push_back(
          fmt::format("the subject's model against ours on {} tokens and more: they do not fit into the time", length));
      break;
    }
    comparison.run(distinct_tokens(seed, 0, length, ours.vocab_size), report);
  }
  return report;
}

}  // namespace kvproof
