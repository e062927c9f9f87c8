// Numbers as they would be in fewer bits.
#pragma once

#include <array>
#include <cmath>

namespace kvproof {

struct RoundedDtype {
  const char* name;
  int bits;  // of the significand, the leading one included
};
/// Coarsest first.
inline constexpr std::array<RoundedDtype, 3> kRoundedDtypes = {RoundedDtype{"bfloat16", 8}, RoundedDtype{"float16", 11},
                                                               RoundedDtype{"float32", 24}};

/// To the nearest, ties to even; exponents are not limited.
inline double round_to_bits(double x, int bits) {
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(fraction, bits)), exponent - bits);
}

}  // namespace kvproof
