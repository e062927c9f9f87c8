// What a CI job makes of a run and its comparisons: which findings fail it, which are warnings. Pure functions on documents.
#pragma once

#include <string>
#include <vector>

#include "harness/compare/document.h"
#include "harness/config/config.h"
#include "harness/record/record.h"

namespace kvproof {

inline constexpr const char* kCiSchema = "kvproof-ci";
inline constexpr int64_t kCiVersion = 1;

/// What a run's record says that a gate must know of, in compare::Finding's words: disagree (outputs, or a verification that
/// FAILs), error (a case that could not run, or whose measurement is INVALID), inconclusive (a verification). incomparable:
/// the run was cut off.
/// throws RecordError: a damaged record
std::vector<compare::Finding> findings_of_run(const Json& record);

struct CiVerdict {
  std::vector<compare::Finding> failures, warnings;
  ExitCode code = ExitCode::ok;  // the worst of the failures'
};

/// Findings of kind incomparable always fail; inconclusive ones where `strict` or ci.fail_on says so; the others where
/// ci.fail_on names them. What does not fail is a warning.
CiVerdict decide(const std::vector<compare::Finding>& findings, const CiSpec& spec, bool strict);

/// The words of ci.accept that no comparison needed; in each only its own are known.
std::vector<std::string> unused_accepts(const std::vector<Json>& comparisons);

/// {"schema", "kvproof", "started", "config", "strict", "fail_on", "accept": {given, unused}, "failures": [{kind, text}],
///  "warnings": likewise, "artifacts": {name: path}, "exit_code"}
Json ci_json(const CiVerdict& verdict, const LoadedConfig& config, bool strict, const std::vector<Json>& comparisons,
             const std::string& started, const Json& artifacts);

}  // namespace kvproof
