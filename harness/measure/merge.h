// The records of a config's shards, as the one record that the whole config would have left. Pure functions on documents.
#pragma once

#include <string>
#include <vector>

#include "harness/record/record.h"

namespace kvproof {

/// A record and what it is called in complaints.
struct ShardRecord {
  std::string file;
  Json record;
};

/// Puts the records of all shards of one config together. results/README.md has what is in the result beside a run's fields.
///
/// parts    in any order, at least one
/// command  the words of the command line that merges them, for the record
/// returns  a run's record: cases in the config's order as they stand in their shards, but for `machine` where the shards
///          ran on machines of different fingerprints, and for the index of their verification. Nothing that was measured
///          on two machines is put together
/// throws   RecordError, placed at a file: a record of a whole run, or one that is merged already; interrupted; of another
///          config, number of shards or split; of another program or checkpoint, with both values; a shard twice, or not
///          there, with the command that runs it; damaged, with the field
Json merge(const std::vector<ShardRecord>& parts, const std::vector<std::string>& command);

}  // namespace kvproof
