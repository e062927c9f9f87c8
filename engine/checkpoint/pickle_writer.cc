#include "engine/checkpoint/pickle_writer.h"

#include <limits>

namespace kvproof {

PickleWriter& PickleWriter::raw(uint64_t value, int n) {
  for (int i = 0; i < n; ++i) out_ += static_cast<char>(value >> (8 * i) & 0xFF);
  return *this;
}

PickleWriter& PickleWriter::global(std::string_view module, std::string_view name) {
  op(kGlobal).out_.append(module).append("\n").append(name).append("\n");
  return *this;
}

PickleWriter& PickleWriter::text(std::string_view text) {
  op(kBinUnicode).raw(text.size(), 4).out_ += text;
  return *this;
}

PickleWriter& PickleWriter::short_text(std::string_view text) {
  op(kShortBinUnicode).raw(text.size(), 1).out_ += text;
  return *this;
}

PickleWriter& PickleWriter::short_bytes(std::string_view bytes) {
  op(kShortBinBytes).raw(bytes.size(), 1).out_ += bytes;
  return *this;
}

PickleWriter& PickleWriter::integer(int64_t value) {
  const auto bits = static_cast<uint64_t>(value);
  if (value >= 0 && value <= 0xFF) return op(kBinInt1).raw(bits, 1);
  if (value >= 0 && value <= 0xFFFF) return op(kBinInt2).raw(bits, 2);
  if (value >= std::numeric_limits<int32_t>::min() && value <= std::numeric_limits<int32_t>::max())
    return op(kBinInt).raw(bits, 4);
  return op(kLong1).raw(8, 1).raw(bits, 8);
}

}  // namespace kvproof
