// A comparison as text for people at a terminal.
#pragma once

#include <string>

#include "harness/record/record.h"

namespace kvproof {

/// Who against whom; is it the same work with the same outcome; times; notes; the verdict last.
///
/// comparison  a document as harness/compare/document.h has it
/// colour      whether ANSI colours may be used; without them the text is the same
/// width       columns of the terminal, 80 …; from 101 on the times themselves stand beside their ratios
/// returns     UTF-8, every line ended; nothing of the document is obeyed by a terminal or by a workflow's log
/// throws      RecordError naming the field that is missing or of another type
std::string render_comparison(const Json& comparison, bool colour, int width);

}  // namespace kvproof
