// A history's trend as one HTML page with plots: a function of its document (harness/track/trend.h) alone.
#pragma once

#include <string>

#include "harness/record/record.h"

namespace kvproof {

/// Verdict first; then by case a plot for each time on each machine, and its steps in words.
///
/// trend   {"schema": {"name": "kvproof-trend", …}, …}
/// returns a whole HTML document, UTF-8, which loads nothing: no other file, no network
/// throws  RecordError naming the field that is missing or of another type
std::string render_trend_html(const Json& trend);

}  // namespace kvproof
