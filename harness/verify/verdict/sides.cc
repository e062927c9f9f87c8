#include "harness/verify/verdict/sides.h"

namespace kvproof {

Subject& logic_subject(const VerifyTarget& target) { return target.logic ? *target.logic : target.tested; }
Subject& exact_subject(const VerifyTarget& target) { return target.exact ? *target.exact : logic_subject(target); }

std::vector<VerifySide> sides_of(const VerifyTarget& target) {
  const SubjectInfo tested = target.tested.info();
  if (target.cache_against_ours) {
    // Two engines in float64 may differ by float32 tables: the coarser gate is theirs.
    const std::string dtype = tested.dtype == "float64" ? "float32" : tested.dtype;
    return {{target.tested, target.ours->naive, &target.ours->exact, tested, {dtype, kErrorRatioGate}}};
  }
  std::vector<VerifySide> all;
  if (target.logic || tested.dtype == "float64") {
    Subject& logic = logic_subject(target);
    all.push_back({logic, logic, nullptr, logic.info(), {"float64", 0}});
  }
  const Gate gate{tested.dtype, kErrorRatioGate};
  if (target.logic)
    all.push_back({target.tested, target.tested, &exact_subject(target), tested, gate, true});
  else if (all.empty())
    all.push_back({target.tested, target.tested, nullptr, tested, gate});
  return all;
}

CalibrationTarget calibration_of(const VerifySide& side, const VerifyTarget& target) {
  return {side.subject, side.exact,      target.use_key_blocks,
          &side.naive,  side.gate.dtype, !target.own_engine && !side.numerics};
}

}  // namespace kvproof
