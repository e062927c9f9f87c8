// A record as GitHub's Markdown: for a comment on a pull request, or $GITHUB_STEP_SUMMARY.
#pragma once

#include <string>

#include "harness/record/record.h"

namespace kvproof {

/// The verdict in one bold line; a table with a row for each case; how the time of a token grows, of the cases with steps
/// enough for a curve; what failed, with its place and the command that shows it again; what is to be read with care;
/// warnings; machine and build, folded.
///
/// record  a run's record, as results/README.md has it
/// returns UTF-8, every line ended; nothing of the record is taken for markup, HTML or a mention
/// throws  RecordError naming the field that is missing or of another type
std::string render_markdown(const Json& record);

}  // namespace kvproof
