// A comparison as CSV, for spreadsheets and data frames.
#pragma once

#include <string>
#include <vector>

#include "harness/record/record.h"

namespace kvproof {

/// The columns' names, in their order; results/README.md says what they hold.
std::vector<std::string> comparison_csv_columns();

/// A line of names, then by `tier`: "exact", a line for each change, or for the case where nothing changed; "time", one for
/// each case and time; "control"; "floor". RFC 4180, UTF-8, every line ended by CR LF. Empty: null in the document, or
/// nothing of the kind in this tier. Numbers as the document has them; texts on one line, as csv_text() has them.
///
/// comparison  a document as harness/compare/document.h has it
/// throws      RecordError naming the field that is missing or of another type
std::string render_comparison_csv(const Json& comparison);

}  // namespace kvproof
