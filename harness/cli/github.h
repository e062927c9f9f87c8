// What a step of GitHub Actions can be told, beside its log.
#pragma once

#include <string>

#include "harness/cli/console.h"

namespace kvproof::cli {

/// Whether a runner reads this program's output, and workflow commands in it.
bool on_github();

/// Adds to $GITHUB_STEP_SUMMARY where there is one. A file that cannot be written is warned of.
void add_to_step_summary(const std::string& markdown, Console& console);

}  // namespace kvproof::cli
