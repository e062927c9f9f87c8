// A history's trend as text for people at a terminal: a function of its document (harness/track/trend.h) alone.
#pragma once

#include <string>

#include "harness/record/record.h"

namespace kvproof {

/// For each series: where it stands, a line of bars, each step with the commits it lies between, the release.
///
/// trend   {"schema": {"name": "kvproof-trend", …}, …}
/// colour  whether ANSI colours may be used; without them the text is the same
/// width   columns of the terminal, 80 …
/// returns UTF-8, every line ended; nothing in it that a terminal would obey
/// throws  RecordError naming the field that is missing or of another type
std::string render_trend_table(const Json& trend, bool colour, int width);

}  // namespace kvproof
