// The storage type of bfloat16: the upper half of a float32.
#pragma once

#include <bit>
#include <cstdint>

namespace kvproof::kernels {

/// Same size, alignment and bits as at::BFloat16, whose pointers may be reinterpreted as pointers to this.
struct Bfloat16 {
  uint16_t bits;
};

/// Exact.
inline float to_float(Bfloat16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }

/// Rounds to nearest, ties to even; NaN stays NaN, what lies beyond the largest bfloat16 becomes infinite.
inline Bfloat16 to_bfloat16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffff) > 0x7f800000) return {static_cast<uint16_t>(bits >> 16 | 0x40)};  // quiet
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

}  // namespace kvproof::kernels
