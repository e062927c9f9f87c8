#include "engine/checkpoint/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>

#include "engine/error.h"

namespace kvproof {
namespace {

// The mappings of files there are: first byte -> size.
struct Mappings {
  std::mutex mutex;
  std::map<const char*, size_t> sizes;
};
Mappings& mappings() {
  static auto* const kMappings = new Mappings;  // never destroyed: mappings may outlive statics
  return *kMappings;
}

}  // namespace

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
  const std::lock_guard lock(mappings().mutex);
  mappings().sizes[static_cast<const char*>(data)] = size;
  return std::shared_ptr<const MappedFile>(new MappedFile(data, size, true));
}

std::shared_ptr<const MappedFile> MappedFile::of_static(std::string_view bytes) {
  return std::shared_ptr<const MappedFile>(new MappedFile(const_cast<char*>(bytes.data()), bytes.size(), false));
}

MappedFile::~MappedFile() {
  if (!mapped_) return;
  const std::lock_guard lock(mappings().mutex);
  mappings().sizes.erase(static_cast<const char*>(data_));
  ::munmap(data_, size_);
}

void MappedFile::release(const void* begin, size_t bytes) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto* first = static_cast<const char*>(begin);
  const std::lock_guard lock(mappings().mutex);
  auto mapping = mappings().sizes.upper_bound(first);
  if (mapping == mappings().sizes.begin()) return;
  --mapping;
  if (first + bytes > mapping->first + mapping->second) return;
  const auto from = (reinterpret_cast<uintptr_t>(first) + page - 1) / page * page;
  const auto to = reinterpret_cast<uintptr_t>(first + bytes) / page * page;
  if (from < to) ::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

}  // namespace kvproof
