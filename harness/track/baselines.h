// Baselines by name: files in a folder that is meant to be committed.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/record/record.h"

namespace kvproof::track {

inline constexpr const char* kBaselineFolder = "results/baselines";  // below the current folder

/// throws ArgumentError placed at NAME: empty, a character that is none of letters, digits, '.', '_' and '-', a name that
///        begins with '.' or '-' or ends in ".json"
void check_baseline_name(const std::string& name);

/// DIR/NAME.json. throws as check_baseline_name
std::filesystem::path baseline_file(const std::string& name, const std::filesystem::path& dir);

/// Names of the baselines in a folder, sorted; none where there is no such folder.
/// throws RecordError: the folder cannot be read
std::vector<std::string> baseline_names(const std::filesystem::path& dir);

/// A baseline (harness/compare/exact.h) or a record, as it stands in the file; its schema and version are checked.
/// throws RecordError: no such file, no JSON, another document
Json read_baseline(const std::filesystem::path& file);

/// Its file, which is there.
/// throws NoBaselineError: it is not; the message has the names that exist and the command that makes one; ArgumentError: as
///        check_baseline_name
std::filesystem::path existing_baseline(const std::string& name, const std::filesystem::path& dir);

struct FoundBaseline {
  std::string name;  // as it was given
  std::filesystem::path file;
  Json document;  // a baseline; of a path it may be a record
};

/// The baseline that a NAME or a path stands for; whatever has a '/' or ends in ".json" is a path.
///
/// throws NoBaselineError, ArgumentError: as existing_baseline, or no file has that path; RecordError: as read_baseline
FoundBaseline find_baseline(const std::string& name_or_path, const std::filesystem::path& dir = kBaselineFolder);

}  // namespace kvproof::track
