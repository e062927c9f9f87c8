// SplitMix64: random bits that are the same on every machine, which the standard's distributions are not.
// source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014
#pragma once

#include <cstdint>

namespace kvproof {

inline constexpr uint64_t kGoldenGamma = 0x9E3779B97F4A7C15;  // 2^64 over the golden ratio, odd

/// Its finaliser: a bijection in which each input bit flips half of the output's.
constexpr uint64_t mix_bits(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

/// The next number of a stream; any state may begin one.
constexpr uint64_t next_random(uint64_t& state) { return mix_bits(state += kGoldenGamma); }

}  // namespace kvproof
