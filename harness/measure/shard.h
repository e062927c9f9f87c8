// kvproof run --shard K/N: which cases of a config the K-th of N runs takes. SHARDING.md beside this file shows its use.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/config/config.h"
#include "harness/measure/split.h"
#include "harness/record/record.h"
#include "harness/record/view.h"

namespace kvproof {

inline constexpr int64_t kMostShards = 10'000;  // as many as a config has cases

struct Shard {
  int64_t index = 1, count = 1;    // index from 1 to count
  std::vector<std::string> cases;  // ids of the whole config, in its order
  std::vector<int64_t> of;         // of each of them, the shard that runs it
};

/// What a config's cases are estimated to cost, in ms of a machine that stands for all: nothing is timed, so that every
/// machine comes to the same.
///
/// The estimate is plan's, by the cost model's FLOPs and bytes: repetitions, warm-up and verification counted. A group's
/// opening holds what each of its models costs once, however many cases there are: loading, peaks, the verification's
/// own time. A subject that stands alone counts as a d12, for nothing is known of its size before it was started.
/// throws  what open_session and resolve_prompt throw: the split hangs on all checkpoints and prompts, so that a machine
///         without one of them would run other cases
/// cost    every checkpoint is opened, one after the other; no model is made
Costs costs_of(const LoadedConfig& config);

/// The index-th of `count` shards of a config. throws  as costs_of
Shard shard_of(const LoadedConfig& config, int64_t index, int64_t count);

/// Leaves the shard's cases in a config; its hash stays that of the whole. Of cases that the config does not have nothing
/// is said: whoever goes on with a journal finds out by the hash.
void select(LoadedConfig& config, const Shard& shard);

/// "shard 2 of 4: 3 of 12 cases".
std::string shard_text(const Shard& shard);

/// A record's `shard`, and a journal's.
Json shard_json(const Shard& shard);
/// throws  RecordError: damaged
Shard shard_from(const View& json);

}  // namespace kvproof
