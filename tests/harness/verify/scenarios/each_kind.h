// Scenarios of every kind that a small model affords, simple ones first.
#pragma once

#include <string>
#include <vector>

namespace kvproof::testing {

/// Without their dtype.
inline const std::vector<std::string> kOneOfEachKind = {
    // forwards alone
    "prefill[1]", "prefill[9]", "decode[1,9]", "decode[7,3]", "chunks[1,7]", "chunks[3,1,4]", "ones[8]",
    // batches, and rows that come and go
    "batch[3,5,3]", "ragged[1,4,9]", "clone[3,7,3]", "diverge[2,6]", "shuffle[3,6,2]", "retain[4,6]",
    // what is taken back
    "truncate[9,4,4]", "truncate[4,0,4]", "truncate_row[3,8,2]", "reset[9,3]", "reset[3,9]", "reset_batch[3,6,2]",
    // room
    "grow[4,3]", "capacity[1]", "capacity[6]", "poison[4,4]", "interleave[5,3]", "over_allocated[5,3]", "rotary[640]",
    // relations between two runs
    "replay[3,5,2]", "row_independence[3,5,2]", "causality[4,6]",
    // many operations in one, and batches in chunks
    "uneven[3,4]", "batch_chunks[2,4,3]"};

}  // namespace kvproof::testing
