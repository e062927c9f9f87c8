// A comparison's document as types: read once and checked as a whole, for all reports of it. harness/compare/document.h
// says what the fields mean. Texts are as the document has them: each report makes them safe for its own medium.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/compare/document.h"
#include "harness/record/record.h"

namespace kvproof::comparison {

using compare::kComparisonSchema;
using compare::kComparisonVersion;

struct Side {
  std::string kind, name;  // "binary", "ref", "baseline", "record"
  std::optional<std::string> version, commit, fingerprint, cpu_model, started;
  std::optional<bool> dirty;
};

struct Change {
  std::string field, place;
  Json base, candidate;  // null: none
  bool accepted = false;
};

struct Case {
  std::string id, verdict;
  std::optional<std::string> shape, reason;
  bool accepted = false;  // of a MISSING one
  std::vector<Change> changes;
};

/// A ratio, candidate / base, and its interval; low and high are there both or not at all.
struct Ratio {
  double value = 1;
  std::optional<double> low, high;
};

struct Confirmation {
  Ratio ratio;
  std::string verdict;
};

struct Metric {
  std::string case_id, name, verdict;  // verdict "": advisory, nobody judged it
  bool gated = false;
  Ratio ratio;
  std::optional<double> base_ns, candidate_ns;
  int64_t blocks = 0;
  // Of paired times only.
  std::optional<double> margin, noise_floor, minimum_detectable, alarm_from, p;
  int64_t recorded = 0;
  std::optional<int64_t> blocks_to_settle;
  std::string reason;
  bool confirmed = false;
  std::optional<Confirmation> confirmation;
};

struct Control {
  std::string case_id, metric, verdict;
  Ratio ratio;
  std::optional<double> minimum_detectable;
};

struct Session {
  int64_t blocks = 0, rounds = 0, tests = 0;
  double epoch_ns = 0, seconds = 0;
  bool cases_joined = false;
  std::string note;
  std::optional<std::string> journal;
};

struct Timing {
  bool paired = false;  // false: advisory
  std::optional<std::string> verdict, reason;
  std::optional<Session> session;
  std::vector<Metric> metrics;
  std::vector<Control> controls;
};

/// value is a ratio of the candidate alone, naive / engine: larger is better.
struct Floor {
  std::string case_id, metric, verdict;
  double floor = 0;
  Ratio value;
};

struct Comparison {
  std::string version, commit, build_type, started;  // of who compared
  bool dirty = false;
  std::optional<double> seconds;
  std::optional<std::string> config_file, config_hash;
  Side base, candidate;
  std::vector<Case> cases;
  std::optional<Timing> timing;
  std::vector<Floor> floors;
  std::vector<std::string> accept_given, accept_unused, warnings;
  std::string exact;  // IDENTICAL, CHANGED, INCOMPARABLE
  int64_t exit_code = 0;
  std::vector<std::string> reasons;  // why the exit code is not 0
};

/// Whether a JSON document calls itself a comparison, of whatever version.
bool is_comparison(const Json& document);

/// throws RecordError, placed at the field: missing, of another type, a verdict that does not exist, an interval with one
///        end; another schema or version, which says what to do
Comparison read_comparison(const Json& document);

}  // namespace kvproof::comparison
