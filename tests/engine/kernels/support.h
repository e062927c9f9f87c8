// What the kernels' tests share: every instruction set of this machine in turn, and rows of numbers with a trap behind.
#pragma once

#include <hwy/targets.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "engine/kernels/bfloat16.h"
#include "tests/support/catch.h"

namespace kvproof::kernels::testing {

/// Makes all kernels use one of the instruction sets they were built for, until it goes out of scope.
class OnTarget {
 public:
  explicit OnTarget(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  ~OnTarget() {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

/// Calls check() once per instruction set that the kernels were built for and this machine has.
template <typename Check>
void on_every_target(Check check) {
  const std::vector<int64_t> targets = hwy::SupportedAndGeneratedTargets();
  REQUIRE(!targets.empty());
  for (const int64_t target : targets) {
    const OnTarget scope(target);
    INFO("instruction set " << hwy::TargetName(target));
    check();
  }
}

template <typename T>
T from_double(double x) {
  if constexpr (std::is_same_v<T, Bfloat16>) {
    return to_bfloat16(static_cast<float>(x));
  } else {
    return static_cast<T>(x);
  }
}
inline double to_double(double x) { return x; }
inline double to_double(Bfloat16 x) { return to_float(x); }

/// (rows, columns) of numbers in [-1, 1], each row followed by `gap` NaN; not aligned to anything.
template <typename T>
class Rows {
 public:
  Rows(int64_t rows, int64_t columns, uint32_t seed, int64_t gap = 3)
      : columns_(columns), stride_(columns + gap),
        data_(1 + rows * stride_, from_double<T>(std::numeric_limits<double>::quiet_NaN())) {
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        row(i)[j] = from_double<T>(static_cast<double>(state >> 11) / (int64_t{1} << 52) - 1);
      }
  }
  T* data() { return data_.data() + 1; }
  const T* data() const { return data_.data() + 1; }
  T* row(int64_t i) { return data() + i * stride_; }
  const T* row(int64_t i) const { return data() + i * stride_; }
  double at(int64_t i, int64_t j) const { return to_double(row(i)[j]); }
  int64_t columns() const { return columns_; }
  int64_t stride() const { return stride_; }

 private:
  int64_t columns_, stride_;
  std::vector<T> data_;
};

/// The worst |got - expected| / scale of a test; NaN counts as infinite.
class Worst {
 public:
  void see(double got, double expected, double scale = 1) {
    const double error = std::abs(got - expected) / scale;
    worst_ = std::max(worst_, std::isnan(error) ? std::numeric_limits<double>::infinity() : error);
  }
  double value() const { return worst_; }

 private:
  double worst_ = 0;
};

}  // namespace kvproof::kernels::testing
