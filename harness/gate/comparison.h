// The document of a comparison (harness/compare/document.h), made of what was measured or read.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/compare/document.h"
#include "harness/config/config.h"
#include "harness/gate/timing_gate.h"
#include "harness/record/record.h"

namespace kvproof {

/// Who stands on a side: "binary", "ref", "baseline" or "record", and how it was named.
struct Party {
  std::string kind, name;
};

/// Two documents, each a record or a baseline. Exact values are judged; times of one machine and the same work are told and
/// not judged, for two runs of the same code have differed 1.8-fold.
/// throws RecordError: as compare::compare_exact
Json compare_documents(const Party& base_party, const Json& base, const Party& candidate_party, const Json& candidate,
                       const std::vector<std::string>& accept);

/// Two programs that were timed against each other, and what they gave while they were.
/// journal  where the samples are
Json compare_programs(const Party& base_party, const Party& candidate_party, const LoadedConfig& config,
                      const TimingOutcome& outcome, const std::string& started, double seconds,
                      const std::filesystem::path& journal, const std::vector<std::string>& accept);

/// The speed-ups of a run against least ones: an entry of `floors` for each case that has a ratio and each floor. One is
/// REGRESSED where the ratio's interval lies below the floor.
/// throws RecordError: a damaged record
Json floors_json(const Json& record, const std::map<std::string, double>& floors);

/// Floors that cannot be held: a speed-up is withheld, or no case has one. All incomparable.
/// throws RecordError: a damaged record
std::vector<compare::Finding> unchecked_floors(const Json& record, const std::map<std::string, double>& floors);

}  // namespace kvproof
