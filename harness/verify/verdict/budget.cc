#include "harness/verify/verdict/budget.h"

#include <algorithm>

#include "harness/verify/verdict/suite.h"

namespace kvproof {
namespace {

constexpr double kQuickOracle = 6e8, kFullOracle = 1e10;           // floating-point operations
constexpr double kOracleFlopsPerSecond = 2e9, kOracleShare = 0.2;  // of the time

}  // namespace

double Budget::seconds() const {
  if (options_.seconds > 0) return options_.seconds;
  const bool full = options_.depth == Depth::full;
  if (target_.own_engine) return full ? kFullSeconds : kQuickSeconds;
  return full ? kFullForeignSeconds : kQuickForeignSeconds;
}

double Budget::scenario_seconds() const {
  const double forwards = 25 + 4 * static_cast<double>(tested_.n_layer), sides = target_.logic ? 2 : 1;
  return std::max(0.0,
                  seconds() - sides * forwards * forward_seconds(tested_) - oracle_flops() / kOracleFlopsPerSecond) /
         target_.slowness;
}

double Budget::forward_seconds(const SubjectInfo& info) const {
  return target_.slowness * estimated_forward_seconds(info);
}

double Budget::oracle_flops() const {
  return std::min(options_.depth == Depth::full ? kFullOracle : kQuickOracle,
                  kOracleShare * seconds() * kOracleFlopsPerSecond);
}

}  // namespace kvproof
