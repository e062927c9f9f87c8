// Distances between tensors.
#pragma once

#include <ATen/ATen.h>

#include "tests/support/catch.h"

namespace kvproof::testing {

/// The largest absolute difference, in float64; both of one shape.
inline double max_abs(const at::Tensor& a, const at::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace kvproof::testing
