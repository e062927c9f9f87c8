// One group of cases, which share a model: measured, held against the machine's peaks, verified, compared.
#pragma once

#include "harness/measure/checkpoint_session.h"
#include "harness/measure/grouping.h"
#include "harness/measure/run.h"
#include "harness/measure/run_journal.h"
#include "harness/measure/run_peaks.h"
#include "harness/measure/run_teller.h"
#include "harness/measure/threads.h"

namespace kvproof {

/// What the groups of a run share.
struct RunContext {
  const LoadedConfig& config;
  const MachineFacts& machine;
  const RunHooks& hooks;
  const RunLife& life;
  RunTeller teller;
  RunPeaks peaks;
  Fact<int64_t> free_memory;  // when the run began
  ThreadScope threads = {};
  bool vectors_passed = false;  // they are the same for every group
};

/// A case that could not run, by the exception in flight, whose exit code makes `code` worse.
Json failed_case(const LoadedConfig& config, std::size_t index, ExitCode& code);

/// Measures and judges a group. A case that fails does not stop the others.
///
/// session  of the group's checkpoint
/// returns  the cases in the group's order; verification.index in them is to be set by who puts groups together
///          of cases that were measured, if only in part, when the run was interrupted, what there is
/// throws   what opening the group's engine throws
JudgedGroup run_group(RunContext& run, const CheckpointSession& session, const CaseGroup& group);

}  // namespace kvproof
