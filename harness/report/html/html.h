// A run's record as one HTML page with plots: a file to open, to send, to keep. A function of the record alone.
#pragma once

#include <string>

#include "harness/record/record.h"

namespace kvproof {

/// Verdict first; the cases; plots of one case at a time; warnings, machine, build, settings and command to unfold.
///
/// record  a run's record, as results/README.md has it
/// returns a whole HTML document, UTF-8. Verdict, table and sections are plain HTML; the plots are drawn by scripts that
///         are part of it. It loads nothing: no other file, no network
/// throws  RecordError naming the field that is missing or of another type
std::string render_html(const Json& record);

}  // namespace kvproof
