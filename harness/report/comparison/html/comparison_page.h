// A comparison as one HTML page with plots: a file to open, to send, to keep. A function of the document alone.
#pragma once

#include <string>

#include "harness/record/record.h"

namespace kvproof {

/// Verdict and what failed first; who against whom; what changed; a plot of each time with its intervals and ±δ, and the
/// numbers in tables; notes and words to unfold.
///
/// comparison  a document as harness/compare/document.h has it
/// returns     a whole HTML document, UTF-8. All but the plots is plain HTML; these are drawn by scripts that are part of it.
///             It loads nothing: no other file, no network
/// throws      RecordError naming the field that is missing or of another type
std::string render_comparison_html(const Json& comparison);

}  // namespace kvproof
