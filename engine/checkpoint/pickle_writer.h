// Pickles of plain data, opcode by opcode, as Python writes them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/checkpoint/pickle_opcodes.h"

namespace kvproof {

/// Appends opcodes to a string. The caller keeps the stack in mind; names are those of Python's pickletools.
class PickleWriter {
 public:
  explicit PickleWriter(uint8_t protocol) { op(kProto).raw(protocol, 1); }

  PickleWriter& op(uint8_t opcode) {
    out_ += static_cast<char>(opcode);
    return *this;
  }
  /// GLOBAL
  PickleWriter& global(std::string_view module, std::string_view name);
  /// BINUNICODE
  PickleWriter& text(std::string_view text);
  /// SHORT_BINUNICODE (from protocol 4 on); at most 255 bytes
  PickleWriter& short_text(std::string_view text);
  /// SHORT_BINBYTES; at most 255 bytes
  PickleWriter& short_bytes(std::string_view bytes);
  /// BININT1, BININT2, BININT or LONG1
  PickleWriter& integer(int64_t value);
  /// n bytes of a number, little endian
  PickleWriter& raw(uint64_t value, int n);

  const std::string& bytes() const { return out_; }

 private:
  std::string out_;
};

}  // namespace kvproof
