// The program as its users meet it: words in; text, files and an exit code out.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/catch.h"

namespace kvproof::testing {

/// A folder of the test's own, gone with it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

struct RunOptions {
  std::filesystem::path folder;                    // to run in; empty: a folder of its own
  std::string input;                               // on stdin
  std::map<std::string, std::string> environment;  // beside the test's own; HOME is an empty folder
  bool interrupt = false;                          // press Ctrl-C once, when the first word is on stdout
  std::filesystem::path interrupt_at = {};         // Ctrl-C as soon as this file is there
  std::optional<std::chrono::milliseconds> kill_after = {};       // kill -9, unless it has ended
  std::optional<std::chrono::milliseconds> interrupt_after = {};  // Ctrl-C, unless it has ended
  std::string program = {};                                       // instead of build/kvproof
};

RunOptions in_folder(const std::filesystem::path& folder);
RunOptions typing(const std::string& input);

struct ProgramRun {
  int code = -1;  // 128 + signal where one ended it
  std::string out, err;

  /// stdout as the one JSON document it must be.
  nlohmann::json json() const;
  /// The last line of stderr.
  std::string last_error_line() const;
};

/// Runs build/kvproof and waits.
ProgramRun run_kvproof(const std::vector<std::string>& words, const RunOptions& options = {});

std::string read_file(const std::filesystem::path& file);
void write_file_of(const std::filesystem::path& file, const std::string& bytes);

/// "--base-dir", the embedded chat model.
std::vector<std::string> demo_flags();
/// words, then more words.
std::vector<std::string> operator+(std::vector<std::string> words, const std::vector<std::string>& more);
/// "1,2,3"
std::string comma_separated(const std::vector<int>& ids);

}  // namespace kvproof::testing
