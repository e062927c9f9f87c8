// A file of JSON lines that grows while a run goes on, so that what was measured outlives the process.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/record/record.h"

namespace kvproof {

/// Each line is in the file once append returns: a process that is killed afterwards loses nothing of it.
class Journal {
 public:
  /// A new file, which must not be there yet. Makes its folder. Where no line is ever appended, the file goes with the journal.
  /// throws RecordError: the file exists, or cannot be written
  static Journal create(const std::filesystem::path& file);
  /// An existing one, for as long as nobody else writes it. What stands behind its last line end is a line that was never
  /// finished: the first append cuts it off.
  /// throws RecordError: no such file, unreadable, not to be written; another process writes it; a line that is no JSON,
  ///        with its number
  static Journal open(const std::filesystem::path& file);
  /// Its finished lines, whoever writes it. throws RecordError as open
  static std::vector<Json> read(const std::filesystem::path& file);

  Journal(Journal&& other) noexcept;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  const std::filesystem::path& file() const { return file_; }
  /// What open found, in order; append does not add to it.
  const std::vector<Json>& lines() const { return lines_; }

  /// Writes one line in one piece.
  /// throws RecordError: the file cannot be written (the disk is full), and is as it was; std::logic_error: NaN or infinity
  void append(const Json& line);

 private:
  Journal(std::filesystem::path file, int descriptor) : file_(std::move(file)), descriptor_(descriptor) {}

  std::filesystem::path file_;
  std::vector<Json> lines_;
  int descriptor_ = -1;
  int64_t end_ = 0;  // behind the last finished line
  bool created_ = false;
};

}  // namespace kvproof
