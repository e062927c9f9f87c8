// The checkpoints and prompts of a config: read, named, paths resolved.
#pragma once

#include "harness/config/config.h"
#include "harness/config/fields.h"
#include "harness/config/tree.h"

namespace kvproof::config {

/// Appends the checkpoints and prompts of the file to config, whose `file` says where relative paths begin.
///
/// given, root      what read_value made of the file, and the tree it came from, for places
/// length_is_swept  a synthetic prompt may then leave its length open
/// throws ConfigError: a name that is no name, or is there twice; source, tag or step of a synthetic checkpoint; no length
void read_entries(Config& config, const Json& given, const Tree& root, bool length_is_swept);

}  // namespace kvproof::config
