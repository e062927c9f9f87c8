// The zip file that torch.save writes, as named byte ranges of a mapping.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "engine/checkpoint/mapped_file.h"

namespace caffe2::serialize {
class PyTorchStreamReader;
}

namespace kvproof {

/// Records of one torch.save file. LibTorch's reader finds them; nothing is copied.
class TorchFile {
 public:
  /// throws CheckpointError: not a zip file of torch.save (and what it is instead, where that can be told), truncated,
  ///        damaged, a TorchScript archive, or written on a big-endian machine
  explicit TorchFile(const std::filesystem::path& file);
  /// The same over bytes in memory. place: their name, for messages
  TorchFile(std::shared_ptr<const MappedFile> mapping, std::string place);
  ~TorchFile();

  bool has(const std::string& record) const;

  /// The bytes of a record such as "data.pkl" or "data/0", valid while mapping() is held.
  /// throws CheckpointError: no such record, compressed, encrypted, or beyond the end of the file
  std::string_view record(const std::string& record) const;

  const std::shared_ptr<const MappedFile>& mapping() const { return mapping_; }

 private:
  [[noreturn]] void fail(const std::string& message) const;

  std::string place_;
  std::shared_ptr<const MappedFile> mapping_;
  std::unique_ptr<caffe2::serialize::PyTorchStreamReader> reader_;
};

}  // namespace kvproof
