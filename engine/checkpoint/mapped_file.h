// A file's bytes, mapped into memory.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

namespace kvproof {

/// A private mapping of a whole file: pages are read when touched, and a write never reaches the file.
/// The file must not shrink while it is mapped.
class MappedFile {
 public:
  /// throws CheckpointError: the file cannot be opened or mapped, is empty, or is no regular file
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& file);

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::string_view bytes() const { return {static_cast<const char*>(data_), size_}; }

 private:
  MappedFile(void* data, size_t size) : data_(data), size_(size) {}

  void* data_;
  size_t size_;
};

}  // namespace kvproof
