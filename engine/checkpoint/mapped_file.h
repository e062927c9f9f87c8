// A file's bytes in memory: mapped, or part of the program.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

namespace kvproof {

/// A private mapping of a whole file (or static bytes in its place): pages are read when touched, and a write never reaches the file.
/// The file must not shrink while it is mapped.
class MappedFile {
 public:
  /// throws CheckpointError: the file cannot be opened or mapped, is empty, or is no regular file
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& file);

  /// Bytes that are in memory for as long as the program runs, such as those built into it. Nothing is copied, and
  /// where they are constants a write into them ends the program.
  static std::shared_ptr<const MappedFile> of_static(std::string_view bytes);

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  /// Lets go of the whole pages within these bytes where they belong to the mapping of a file: they count as this process's
  /// no longer, and are read again when they are touched. What was written into them is lost. Other memory stays as it is.
  static void release(const void* begin, size_t bytes);

  std::string_view bytes() const { return {static_cast<const char*>(data_), size_}; }

 private:
  MappedFile(void* data, size_t size, bool mapped) : data_(data), size_(size), mapped_(mapped) {}

  void* data_;
  size_t size_;
  bool mapped_;  // by us
};

}  // namespace kvproof
