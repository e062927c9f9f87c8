// Runs a script on a subject and compares everything it leaves behind with recomputation: levels L0, L2, L3 and L4.
#pragma once

#include <functional>
#include <string>

#include "harness/subject/subject.h"
#include "harness/verify/finding.h"
#include "harness/verify/metrics.h"
#include "harness/verify/scenarios/script.h"
#include "harness/verify/scenarios/trace.h"

namespace kvproof {

struct DriveOptions {
  std::function<void(int threads)> use_threads;  // empty: scripts that ask for threads are skipped
  LogitMetrics* metrics = nullptr;               // takes in every judged row of logits
  bool bitwise = true;  // runs of equal shapes must give equal bits; false: what the bank's gate allows may part them
};

/// After each step, for every row of the cache it changed:
///   L0  length moved as the operation says; within capacity; slots held before are unchanged to the bit; no storage is
///       shared between rows or caches; a refused step changed nothing
///   L2  logits                      against recomputation, within the bank's gate
///   L3  keys and values in slots    likewise
///   L4  the stages of the forward, and the tokens the cache remembers
/// An exception of the subject ends the scenario (ScenarioOutcome::broke_off); the caller goes on to the next.
///
/// subject  whose cached path is judged; the bank's naive path belongs to the same subject
ScenarioOutcome drive(const Script& script, const std::string& name, uint64_t seed, Subject& subject, TraceBank& bank,
                      const DriveOptions& options);

}  // namespace kvproof
