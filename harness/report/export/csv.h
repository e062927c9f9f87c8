// A record as CSV: a row for each path of each case, for spreadsheets and data frames.
#pragma once

#include <string>
#include <vector>

#include "harness/record/record.h"

namespace kvproof {

/// The columns' names, in their order. A unit is part of a name; results/README.md says what they hold.
std::vector<std::string> csv_columns();

/// A line of names, then a line for each path of each case; a case that failed has one, with an empty path. RFC 4180, UTF-8,
/// every line ended by CR LF. Empty: null in the record, or nothing of the kind for this case. Numbers as the record has
/// them, true and false; lists joined by "; "; texts as csv_text() has them.
///
/// record  a run's record, as results/README.md has it
/// throws  RecordError naming the field that is missing or of another type
std::string render_csv(const Json& record);

}  // namespace kvproof
