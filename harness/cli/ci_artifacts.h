// The folder that kvproof ci writes: made anew by each job, and nobody else's files in it are touched.
#pragma once

#include <filesystem>
#include <string>

#include "harness/record/record.h"

namespace kvproof::cli {

/// Whether a file is one of those that a job writes into a folder.
bool is_artifact(const std::filesystem::path& file, const std::filesystem::path& folder);

class CiArtifacts {
 public:
  /// Takes the folder: an earlier job's files in it are removed, and ci.json says from now on that a job runs.
  /// throws ArgumentError (place "--artifacts"): the name is empty; the folder has files of these names that no kvproof ci
  ///        wrote. RecordError: another process writes the run's journal there just now, or nothing can be written
  explicit CiArtifacts(std::filesystem::path folder);

  std::filesystem::path file(const std::string& name) const { return folder_ / name; }
  void text(const std::string& name, const std::string& file_name, const std::string& content);
  void json(const std::string& name, const std::string& file_name, const Json& document);
  /// One that is written elsewhere.
  void add(const std::string& name, const std::string& file_name) { list_[name] = file(file_name).string(); }
  /// By name, the paths.
  const Json& list() const { return list_; }

 private:
  std::filesystem::path folder_;
  Json list_ = Json::object();
};

}  // namespace kvproof::cli
