// Two file descriptors as a stream of bytes, without deadlines: the side of the protocol that is asked.
#pragma once

#include <vector>

#include "harness/subject/message.h"

namespace kvproof {

class FdStream : public ByteStream {
 public:
  /// Both stay the caller's to close.
  FdStream(int in, int out);
  bool at_end() override;
  void read(char* to, std::size_t n) override;
  void write(const char* from, std::size_t n) override;
  /// What the buffer holds.
  std::string read_available(std::size_t n) override;

 private:
  int in_, out_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // read and not yet asked for
};

}  // namespace kvproof
