// A repetition must not know of those before it: a fresh engine, which nobody used yet, must give what each of them gave.
#pragma once

#include <string>
#include <vector>

#include "harness/measure/probe.h"
#include "harness/measure/repetitions.h"
#include "harness/subject/subject.h"

namespace kvproof {

/// What a call gave that the first call did not, apart from times: tokens, counters, the bits of the first logits.
/// who  of the call, for the words: "engine", "a fresh engine"
/// returns sentences; empty: nothing differs
std::vector<std::string> differences(const PathMeasurement& first, const ClockedCall& call, const std::string& who);

/// Runs a case's request once on a fresh engine, on the naive path as far as its first token, and holds both against what
/// was measured.
/// fresh   has run nothing yet, but for other cases of the same kind
/// throws  what the subject throws
std::vector<std::string> fresh_engine_faults(Subject& fresh, const GenerationRequest& request,
                                             const CaseMeasurement& measured, Probe& probe);

}  // namespace kvproof
