// A verification as one JSON document; results/README.md describes its fields.
#pragma once

#include "harness/record/record.h"
#include "harness/verify/verdict/verify.h"

namespace kvproof {

/// Everything that was found. Infinite distances become null.
Json verify_json(const VerifyReport& report);

}  // namespace kvproof
