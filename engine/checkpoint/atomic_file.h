// A file that appears whole or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace kvproof {

/// Written beside its target under a temporary name, flushed to the disk and renamed by commit(); removed if it is
/// destroyed before that.
class AtomicFile {
 public:
  /// throws CheckpointError: the folder cannot be written to
  explicit AtomicFile(const std::filesystem::path& target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends; returns the bytes written, fewer than n after a fault, which check() and commit() then throw.
  size_t append(const void* data, size_t n) noexcept;

  /// throws CheckpointError: a fault of append()
  void check() const;

  /// throws CheckpointError: as check(), or a fault of flushing and renaming; the target is then as it was
  void commit();

 private:
  [[noreturn]] void fail(int error) const;

  std::filesystem::path target_, temporary_;
  int fd_ = -1, error_ = 0;
};

/// Writes a whole file. throws CheckpointError as above
void write_file(const std::filesystem::path& target, std::string_view bytes);

}  // namespace kvproof
