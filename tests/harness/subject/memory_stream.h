// A stream of bytes in memory: what is written can be looked at, what is read was put there.
#pragma once

#include <cstring>
#include <string>

#include "harness/error.h"
#include "harness/subject/message.h"

namespace kvproof::testing {

class MemoryStream : public ByteStream {
 public:
  explicit MemoryStream(std::string to_read = {}) : to_read_(std::move(to_read)) {}

  bool at_end() override { return to_read_.empty(); }
  void read(char* to, std::size_t n) override {
    if (n > to_read_.size()) throw SubjectError("memory", "ended");
    std::memcpy(to, to_read_.data(), n);
    to_read_.erase(0, n);
  }
  void write(const char* from, std::size_t n) override { written_.append(from, n); }
  std::string read_available(std::size_t n) override {
    const std::string taken = to_read_.substr(0, n);
    to_read_.erase(0, taken.size());
    return taken;
  }

  const std::string& written() const { return written_; }

 private:
  std::string to_read_, written_;
};

inline std::string bytes_of(const WireMessage& message) {
  MemoryStream stream;
  write_message(stream, message);
  return stream.written();
}

/// A message by hand: any text as its header, any bytes behind it.
inline std::string framed(const std::string& header, const std::string& payload = {}) {
  const auto n = static_cast<uint32_t>(header.size());
  return "KVP1" + std::string(reinterpret_cast<const char*>(&n), 4) + header + payload;
}

}  // namespace kvproof::testing
