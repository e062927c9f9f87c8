#include "harness/subject/fd_stream.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "harness/error.h"

namespace kvproof {

FdStream::FdStream(int in, int out) : in_(in), out_(out), buffer_(64 << 10) {}

bool FdStream::at_end() {
  while (begin_ == end_) {
    const ssize_t got = ::read(in_, buffer_.data(), buffer_.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw SubjectError("stdin", fmt::format("cannot be read: {}", std::strerror(errno)));
    if (got == 0) return true;
    begin_ = 0;
    end_ = static_cast<std::size_t>(got);
  }
  return false;
}

void FdStream::read(char* to, std::size_t n) {
  while (n > 0) {
    if (at_end()) throw SubjectError("stdin", "the stream ended in the middle of a message");
    const std::size_t taken = std::min(n, end_ - begin_);
    std::memcpy(to, buffer_.data() + begin_, taken);
    begin_ += taken;
    to += taken;
    n -= taken;
  }
}

void FdStream::write(const char* from, std::size_t n) {
  while (n > 0) {
    const ssize_t put = ::write(out_, from, n);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw SubjectError("stdout", fmt::format("the answer cannot be written: {}", std::strerror(errno)));
    from += put;
    n -= static_cast<std::size_t>(put);
  }
}

std::string FdStream::read_available(std::size_t n) {
  const std::size_t taken = std::min(n, end_ - begin_);
  begin_ += taken;
  return {buffer_.data() + begin_ - taken, taken};
}

}  // namespace kvproof
