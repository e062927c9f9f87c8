// A run from its journal to its record's file: what run, compare and ci have in common.
#pragma once

#include <filesystem>
#include <optional>

#include "harness/cli/command.h"
#include "harness/config/config.h"
#include "harness/error.h"
#include "harness/measure/run.h"
#include "harness/measure/run_journal.h"
#include "harness/measure/shard.h"

namespace kvproof::cli {

struct RecordedRun {
  RunOutcome outcome;
  std::filesystem::path file;              // of the record
  std::optional<RecordError> not_written;  // why the record is not there
};

/// Runs a config and writes its record, before anything is printed: who reads our output may be gone. Progress goes to stderr
/// where that is a terminal. Ctrl-C and SIGTERM end the run as run_config has it.
/// shard   whose cases the config was left; absent: all
/// throws  what run_config throws
RecordedRun run_and_record(const LoadedConfig& config, RunJournal& journal, const std::optional<Shard>& shard, Call& call);

}  // namespace kvproof::cli
