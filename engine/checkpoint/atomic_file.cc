#include "engine/checkpoint/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "engine/error.h"

namespace kvproof {

AtomicFile::AtomicFile(const std::filesystem::path& target) : target_(target), temporary_(target) {
  temporary_ += fmt::format(".{}.tmp", ::getpid());
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd_ < 0) fail(errno);
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

size_t AtomicFile::append(const void* data, size_t n) noexcept {
  constexpr size_t kMost = size_t{1} << 30;  // some systems write no more than 2 GB at once
  size_t done = 0;
  while (done < n && error_ == 0) {
    const auto written = ::write(fd_, static_cast<const char*>(data) + done, std::min(n - done, kMost));
    if (written >= 0)
      done += static_cast<size_t>(written);
    else if (errno != EINTR)
      error_ = errno;
  }
  return done;
}

void AtomicFile::check() const {
  if (error_ != 0) fail(error_);
}

void AtomicFile::commit() {
  check();
  if (::fsync(fd_) != 0) fail(errno);
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail(errno);
  ::close(fd_);
  fd_ = -1;
  // The new name lasts only once its folder is flushed too; a file system that cannot do so is no fault.
  const auto folder = target_.has_parent_path() ? target_.parent_path() : std::filesystem::path(".");
  if (const int folder_fd = ::open(folder.c_str(), O_RDONLY | O_CLOEXEC); folder_fd >= 0) {
    ::fsync(folder_fd);
    ::close(folder_fd);
  }
}

void AtomicFile::fail(int error) const {
  throw CheckpointError(target_.string(),
                        fmt::format("cannot be written: {}; nothing was left behind", std::strerror(error)));
}

void write_file(const std::filesystem::path& target, std::string_view bytes) {
  AtomicFile file(target);
  file.append(bytes.data(), bytes.size());
  file.commit();
}

}  // namespace kvproof
