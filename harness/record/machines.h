// On which machine a record's cases ran: one, or several where the records of shards were merged.
#pragma once

#include <vector>

#include "harness/record/view.h"

namespace kvproof {

/// The record's machines; of one that is not merged, or whose shards ran on machines of one fingerprint, its only one.
std::vector<View> machines_of(const View& record);

/// Whether its cases ran on machines of different fingerprints: then no time of one case may be held against another's
/// without looking at machine_of.
bool has_several_machines(const View& record);

/// The machine of one of its cases. throws RecordError: the case names one that is not there
View machine_of(const View& record, const View& one_case);

}  // namespace kvproof
