// The two files of a run: its journal, which grows while it goes on, and its record, which is written at its end.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/cli/config_flags.h"
#include "harness/measure/run_journal.h"

namespace kvproof::cli {

/// Begins the journal of a run. Both files have one name, .json and .jsonl: of --out, or a new one in kRunFolder, where
/// no file is replaced.
///
/// out      of --out; absent: not given
/// shard    whose cases the config was left; absent: all. It is part of a new name: shards of one config often begin together
/// throws   RecordError: the folder cannot be written to; beside --out lies a run that was cut off (nothing of it is lost:
///          the message says how to go on with it), or a file that is none of ours. ArgumentError: --out is empty
RunJournal begin_run(const std::optional<std::string>& out, const LoadedConfig& config,
                     const std::vector<std::string>& sets, const std::vector<std::string>& command,
                     const std::optional<Shard>& shard);

}  // namespace kvproof::cli
