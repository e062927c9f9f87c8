// A comparison as Markdown, for a comment on a pull request and for $GITHUB_STEP_SUMMARY.
#pragma once

#include <cstddef>
#include <string>

#include "harness/record/record.h"

namespace kvproof {

/// What GitHub takes: a step's summary of 1 MiB, a comment of 65 536 characters (bytes are at least as many).
/// source  docs.github.com, "Workflow commands": a step's summary over 1 MiB is refused whole
inline constexpr std::size_t kSummaryBytes = 1 << 20, kCommentBytes = 65'536;

/// The verdict in one bold line and why; what failed, then what is doubtful; a table of what changed, one of the times that
/// gate; the rest folded.
///
/// comparison  a document as harness/compare/document.h has it
/// most_bytes  of the whole text: rows that do not fit are left out, from the least important list on, and each list says
///             how many. Below about 4 KiB not even the texts around the lists fit, which are always there
/// returns     UTF-8; texts of the document are text: no markup, mention or link comes out of them
/// throws      RecordError naming the field that is missing or of another type
std::string render_comparison_markdown(const Json& comparison, std::size_t most_bytes = kSummaryBytes);

}  // namespace kvproof
