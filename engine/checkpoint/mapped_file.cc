#include "engine/checkpoint/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "engine/error.h"

namespace kvproof {

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& file) {
  const auto fail = [&](const std::string& message) -> void { throw CheckpointError(file.string(), message); };
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(fmt::format("cannot be opened: {}", std::strerror(errno)));
  const auto close = [](const int* descriptor) { ::close(*descriptor); };
  const std::unique_ptr<const int, decltype(close)> closer(&fd, close);

  struct stat info {};
  if (::fstat(fd, &info) != 0) fail(fmt::format("cannot be examined: {}", std::strerror(errno)));
  if (!S_ISREG(info.st_mode)) fail("expected a file, found a folder or device");
  if (info.st_size == 0) fail("empty file (0 bytes); copy or save it again");
  const auto size = static_cast<size_t>(info.st_size);
  // Writable, because tensors are: a stray write lands in a private page.
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) fail(fmt::format("cannot be mapped into memory ({} bytes): {}", size, std::strerror(errno)));
  return std::shared_ptr<const MappedFile>(new MappedFile(data, size, true));
}

std::shared_ptr<const MappedFile> MappedFile::of_static(std::string_view bytes) {
  return std::shared_ptr<const MappedFile>(new MappedFile(const_cast<char*>(bytes.data()), bytes.size(), false));
}

MappedFile::~MappedFile() {
  if (mapped_) ::munmap(data_, size_);
}

}  // namespace kvproof
