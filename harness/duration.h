// How long something takes, in words and from words.
#pragma once

#include <string>

namespace kvproof {

/// "0.3 s", "7.2 s", "59 s", "5 min", "2 min 10 s", "1 h 5 min": two digits below ten seconds, whole seconds below an hour,
/// parts that are 0 left out.
std::string duration_text(double seconds);

/// Reads "90s", "5min", "1h", "1.5h", "300" (seconds), and what duration_text writes.
///
/// place    of the error
/// returns  seconds, above 0 and at most 1e9
/// throws   ArgumentError: anything else
double parse_duration(const std::string& text, const std::string& place);

}  // namespace kvproof
