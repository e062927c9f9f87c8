// What a verification comes to: the first divergence, the verdict and its words.
#pragma once

#include "harness/verify/verdict/verify.h"

namespace kvproof {

/// Fills in verdict, explanation, wrong and both divergences; everything else in the report must be there.
///
/// FAIL where the model or a scenario failed; INCONCLUSIVE where a calibration doubts; else PASS.
/// stages_shown  by the subject, as the localiser asks
void conclude(VerifyReport& report, bool stages_shown);

}  // namespace kvproof
