// A text file that several processes add to: one at a time.
#pragma once

#include <filesystem>
#include <string>

namespace kvproof::track {

/// A file that is locked (flock) for as long as this lives; whoever comes second waits.
class LockedFile {
 public:
  enum class When { make, there };  // make: the file and its folder; there: only if it is, else nothing is locked

  /// throws RecordError: no ordinary file; cannot be made, opened for writing or locked
  LockedFile(std::filesystem::path file, When when);
  ~LockedFile();
  LockedFile(const LockedFile&) = delete;
  LockedFile& operator=(const LockedFile&) = delete;

  /// All of it; empty where there is no file. throws RecordError
  std::string text() const;

  /// Cuts the file to `end` bytes and puts more behind, by one write, which reaches the disk.
  /// throws RecordError: it cannot be written (the disk is full); what stood before `end` stands
  void append(const std::string& more, std::size_t end);

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
};

}  // namespace kvproof::track
