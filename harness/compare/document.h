// A comparison as one JSON document: what compare and ci write, and every report of it reads.
//
//   schema     {"name": "kvproof-comparison", "version": 1}
//   kvproof    who compared: version, commit, dirty, build_type;  started  UTC;  seconds  it took, null of two documents
//   config     {file, hash}; null of two documents
//   base, candidate
//              kind ("binary", "ref", "baseline", "record"), name (as it was given), version, commit, dirty,
//              fingerprint, cpu_model (null: not known), started (null of programs)
//   cases[]    in the base's order, those that only the candidate has at the end
//     id, shape ("pp512 tg64"; null: not known)
//     verdict  "IDENTICAL", "CHANGED", "MISSING", "ADDED", "INCOMPARABLE"
//     reason   of INCOMPARABLE, a sentence without its stop; else null
//     accepted (a MISSING one: by ci.accept; else false)
//     changes[]  field ("engine.tokens", "naive.kv_cache_bytes", "agreement", "status"), place ("row 0, token 17"; ""),
//              base, candidate (values, null: none), accepted (named by ci.accept, or a case that failed works now)
//   timing     null: none was asked for
//     kind     "paired": fresh processes in turns, which may gate; "advisory": times of two runs, which never do
//     verdict  REGRESSED, IMPROVED (nothing worse), EQUIVALENT, INCONCLUSIVE, INCOMPARABLE; of "advisory" only the last, or null
//     reason   of INCOMPARABLE and INCONCLUSIVE; else null
//     session  of "paired": blocks, rounds, epoch_ns, seconds, tests (gated), cases_joined, note (""), journal (path)
//     untimed[]  of "paired": case, side ("base", "candidate": whose measurement is of no use; null: their tokens differ), reason
//     metrics[]  case, metric ("engine_decode cpu"), gated, verdict (of "advisory" null), ratio (candidate / base: above 1
//              is slower), low, high (null: too few blocks), base_ns, candidate_ns (of one unit; medians), blocks; of
//              "paired" also: margin (δ, a share), noise_floor (null), recorded (A/A sessions behind it), minimum_detectable,
//              alarm_from (null), p (by Holm where gated), blocks_to_settle (null), reason (""), confirmed (of REGRESSED), and
//              confirmation (null, or {ratio, low, high, verdict} of the second session)
//     controls[]  base against its own copy: case, metric, verdict, ratio, low, high, minimum_detectable
//   floors[]   ratios held against committed floors: case, metric ("speedup_e2e"), floor, value, low, high, verdict
//              (REGRESSED: the interval lies below the floor; EQUIVALENT: it does not)
//   accept     {given [names], unused [names]}
//   warnings[] sentences
//   verdict    exact ("IDENTICAL", "CHANGED", "INCOMPARABLE"), timing (as above, null), exit_code, reasons[] (why it is not 0)
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/compare/exact.h"
#include "harness/compare/session.h"
#include "harness/error.h"

namespace kvproof::compare {

inline constexpr const char* kComparisonSchema = "kvproof-comparison";
inline constexpr int64_t kComparisonVersion = 1;

/// Exact metrics whose change is meant, and which of the words were needed.
class Accepted {
 public:
  explicit Accepted(std::vector<std::string> words) : words_(std::move(words)) {}

  /// "kv_cache_bytes" takes "engine.kv_cache_bytes" and "naive.kv_cache_bytes"; "cases" those that are missing.
  bool takes(const std::string& field);
  /// {given, unused}: what has taken nothing by now.
  Json json() const;

 private:
  std::vector<std::string> words_, used_;
};

/// `cases`, in the order of the two lists.
/// shapes  by id, as far as they are known
Json cases_json(const ExactComparison& exact, const std::vector<std::string>& base_ids,
                const std::vector<std::string>& candidate_ids, const std::map<std::string, std::string>& shapes,
                Accepted& accepted);

/// An entry of timing.metrics.
/// tests  how many are gated
Json metric_json(const Judged& judged, const std::optional<Judged>& second, std::optional<double> base_ns,
                 std::optional<double> candidate_ns, int64_t tests);

/// An entry of timing.controls.
Json control_json(const Judged& judged);

/// Something of a comparison that a gate must know of.
struct Finding {
  std::string kind;  // disagree, regressed, missing, error, inconclusive, incomparable: the words of ci.fail_on and the last
  ExitCode code = ExitCode::ok;
  std::string text;
};

/// Of exact metrics: disagree, 5 (other tokens, another agreement); error, 6 (a case fails that did not); regressed, 1 (another
/// count); missing, 1; incomparable, 4 (a case that cannot be compared, none in common). Of times that may gate: regressed, 1;
/// inconclusive, 3; incomparable, 4; of a case that was not timed error, 6 (the candidate's fault), incomparable, 4 (the base's)
/// or inconclusive, 3 (other tokens). Of floors: regressed, 1. Accepted changes, cases that were not timed for them, and
/// advisory times are none.
std::vector<Finding> findings_of(const Json& document);
/// Those of its exact metrics alone, and of its times alone.
std::vector<Finding> findings_of_cases(const Json& document);
std::vector<Finding> findings_of_times(const Json& document);
/// Of a list as the document's `floors`.
std::vector<Finding> findings_of_floors(const Json& floors);

/// Writes the document's `verdict`. returns the worst of the findings' codes, in the order of harness/error.h
ExitCode conclude(Json& document);

}  // namespace kvproof::compare
