// Generations of one case again and again under the clock: what a child that measures does when it is asked for an epoch.
#pragma once

#include "engine/generate/generator.h"
#include "harness/measure/paired/protocol.h"
#include "harness/measure/probe.h"
#include "harness/subject/subject.h"

namespace kvproof {

/// What a path of a case is asked, and what it gave when it was first asked: each call must give the same.
struct ExpectedCalls {
  GenerationRequest request;
  GenerationResult result;  // of a whole generation
  int64_t prefill_positions = 0, steps = 0;
};

/// One epoch. Each call's work is looked at after its clock has stopped.
///
/// throws  ArgumentError: there is nothing to time (no token was generated; decode of one token). Error of kind
///         "measurement": a call did other work than the first one; what the subject throws
EpochTimes time_epoch(Subject& subject, const Timed& timed, const ExpectedCalls& expected, const EpochLength& length,
                      Probe& probe);

/// Threads that finished their share stay awake for a while, hoping for more: waits, asleep, until this process uses less
/// than a twentieth of one CPU, so that they do not run into somebody else's epoch.
/// returns  whether it became quiet within 100 ms
/// cost     a millisecond or more
bool wait_until_quiet(Probe& probe);

}  // namespace kvproof
