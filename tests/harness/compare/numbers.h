// Numbers for the comparison's tests: SciPy's, and noise that is the same on every machine.
#pragma once

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "tests/support/catch.h"

namespace kvproof::testing {

/// One list of tests/golden/compare/scipy.json.
inline nlohmann::json scipy(const std::string& name) {
  std::ifstream in(source_path("tests/golden/compare/scipy.json"));
  REQUIRE(in);
  return nlohmann::json::parse(in).at(name);
}

/// 1e-12 of what SciPy finds; the worst seen is 2e-14.
inline Approx as_scipy(const nlohmann::json& value) { return Approx(value.get<double>()).epsilon(1e-12).margin(0); }

/// A standard's distributions differ between libraries; its generators do not.
class Noise {
 public:
  explicit Noise(uint64_t seed) : bits_(seed) {}

  /// In (0, 1).
  double uniform() { return (static_cast<double>(bits_() >> 11) + 0.5) * 0x1p-53; }
  /// Box and Muller.
  double normal() { return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * 3.141592653589793 * uniform()); }
  /// Cauchy's: stalls of any size.
  double heavy() { return std::tan(3.141592653589793 * (uniform() - 0.5)); }

  /// Effects of a session's blocks.
  std::vector<double> blocks(int n, double effect, double spread) {
    std::vector<double> d;
    for (int b = 0; b < n; ++b) d.push_back(effect + spread * normal());
    return d;
  }

 private:
  std::mt19937_64 bits_;
};

}  // namespace kvproof::testing
