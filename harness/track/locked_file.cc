#include "harness/track/locked_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "harness/error.h"
#include "harness/record/text_file.h"

namespace kvproof::track {
namespace {

[[noreturn]] void fail(const std::filesystem::path& file, const std::string& what, int why) {
  throw RecordError(file.string(), what + ": " + std::strerror(why));
}

// Whether the name still means the file that was opened: another process may have put a new one in its place meanwhile.
bool is_still(int descriptor, const std::filesystem::path& file) {
  struct stat opened {
  }, named{};
  return fstat(descriptor, &opened) == 0 && stat(file.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
         opened.st_dev == named.st_dev;
}

}  // namespace

LockedFile::LockedFile(std::filesystem::path file, When when) : file_(std::move(file)) {
  if (when == When::make && file_.has_parent_path()) {
    std::error_code error;
    std::filesystem::create_directories(file_.parent_path(), error);
    if (error) fail(file_, "its folder cannot be made", error.value());
  }
  if (std::error_code error; std::filesystem::exists(file_, error) && !std::filesystem::is_regular_file(file_, error))
    throw RecordError(file_.string(), "is a folder, a device or a pipe; give the name of a file");
  for (;;) {
    descriptor_ = open(file_.c_str(), O_RDWR | O_CLOEXEC | (when == When::make ? O_CREAT : 0), 0666);
    if (descriptor_ < 0 && errno == ENOENT && when == When::there) return;
    if (descriptor_ < 0) fail(file_, "cannot be opened for writing", errno);
    int locked = 0;
    while ((locked = flock(descriptor_, LOCK_EX)) != 0 && errno == EINTR) {
    }
    const int why = errno;
    if (locked == 0 && is_still(descriptor_, file_)) return;
    close(std::exchange(descriptor_, -1));
    if (locked != 0) fail(file_, "cannot be locked", why);
  }
}

LockedFile::~LockedFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::string LockedFile::text() const { return descriptor_ < 0 ? "" : read_text_file(file_); }

void LockedFile::append(const std::string& more, std::size_t end) {
  const auto at = static_cast<off_t>(end);
  if (ftruncate(descriptor_, at) != 0) fail(file_, "a half line at its end cannot be cut off", errno);
  const ssize_t count = pwrite(descriptor_, more.data(), more.size(), at);
  const int why = count < 0 ? errno : ENOSPC;  // a part of a write means that there is no room for the rest
  if (count == static_cast<ssize_t>(more.size()) && fsync(descriptor_) == 0) return;
  if (ftruncate(descriptor_, at) != 0) fail(file_, "was written in part, which cannot be taken back", errno);
  fail(file_, "cannot be written; it is as it was", why);
}

}  // namespace kvproof::track
