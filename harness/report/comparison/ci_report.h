// What kvproof ci came to (harness/gate/ci.h has the document), for those who read it.
#pragma once

#include <string>
#include <string_view>

#include "harness/record/record.h"

namespace kvproof {

/// What failed, what to look at, where everything lies, and the exit code; for a terminal or a log.
/// throws RecordError naming the field that is missing or of another type; so do all
std::string render_ci(const Json& ci);

/// The head of a step's summary: passed or failed in one bold line, then the lists.
std::string render_ci_markdown(const Json& ci);

/// An ::error for each failure, a ::warning for each warning, ten of a kind at most: GitHub shows no more of a step.
std::string ci_annotations(const Json& ci, std::string_view config_file);

}  // namespace kvproof
