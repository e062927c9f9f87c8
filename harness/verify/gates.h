// How far two paths may be apart. Pure arithmetic.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace kvproof {

/// Distance from 1 to the next number of a dtype ("float64", "float32", "bfloat16", "float16").
double dtype_epsilon(const std::string& dtype);
/// bfloat16 or float16: too coarse to judge logic by.
bool is_half(const std::string& dtype);

/// The largest distance; NaN in either counts as infinite, infinities of one sign as equal.
double max_distance(std::span<const double> a, std::span<const double> b);
/// The largest magnitude; NaN is passed over.
double max_magnitude(std::span<const double> values);

/// R's gate in every dtype but float64: benign 0.3 … 1.1, faults seen in logits from 270 (float32), from 1.3 (bfloat16:
/// there the float64 comparison of the same code is what counts).
inline constexpr double kErrorRatioGate = 8;
/// float64's gate, times max(1, max|logit|): benign 1e-14, the smallest fault seen 1e-5.
inline constexpr double kFloat64Gate = 1e-10;

/// The gate of one comparison.
///
/// float64: kFloat64Gate · max(1, max|reference|), and naive_error plays no part.
/// else:    factor · r, where r, R's denominator, is max(naive_error, 8 · ε · max|reference|): the engine may err `factor`
///          times as much as the same dtype's rounding makes the naive path err. ε alone counts in bfloat16 and float16,
///          where eight of them would be a larger error than most faults make
struct Gate {
  std::string dtype = "float64";
  double factor = kErrorRatioGate;  // R's limit

  bool exact() const { return dtype == "float64"; }
  double denominator(double naive_error, double max_reference) const;
  double allowed(double naive_error, double max_reference) const;
};

}  // namespace kvproof
