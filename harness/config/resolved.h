// What a run was asked to do, in one canonical text, and its hash.
#pragma once

#include <string>
#include <vector>

#include "harness/config/config.h"
#include "harness/config/settings.h"
#include "harness/config/sweep.h"

namespace kvproof::config {

/// {"checkpoints": […], "prompts": [… with every setting that is not swept], "sweep": [[{key: value, …}, …], …]}: keys in
/// the table's order, defaults filled in, so that two files that ask for the same give the same text. Paths stand as
/// written; of an absolute one only the last part is kept, so that no machine's folders get into a record.
///
/// given    what read_value made of the file: the source of the paths
/// config   its checkpoints and prompts, named, before the sweep
std::string resolved_json(const Json& given, const Config& config, const std::vector<Settings>& prompt_settings,
                          const std::vector<Axis>& axes);

/// 64-bit FNV-1a of the bytes, as 16 hex digits: tells configs apart, protects against nobody.
/// source: Fowler, Noll, Vo; offset basis 14695981039346656037, prime 1099511628211
std::string fnv1a_hex(const std::string& bytes);

}  // namespace kvproof::config
