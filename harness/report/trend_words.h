// What the reports of a trend say in words. Every text is safe for a terminal. Inside harness/report only; all throw
// RecordError, placed at the damaged field.
#pragma once

#include <cstdint>
#include <string>

#include "harness/record/view.h"

namespace kvproof {

/// "1a2b3c4d", with a "+" behind where changes were not committed; "unknown commit".
std::string commit_text(const View& commit, bool dirty = false);

/// "5.2 % slower", "3.0 % faster", "as fast" below a tenth of a percent.
std::string change_text(double ratio);

/// Of a series' entry of steps: "5.2 % slower near commit 1a2b3c4d of 2026-11-20 (the run before was 0d1e2f3a's, of
/// 2026-11-19): 1.174 ms before, 1.234 ms since".
std::string step_text(const View& step);

/// Of a series: what its verdict is said about, "LEVEL: no step in 20 points".
std::string standing_text(const View& series, const View& against);

/// "the newest stretch of points against the one before its last step".
std::string trend_held(const View& trend);

/// How many series stand how, and what that is worth; the last line of a trend.
std::string trend_closing(const View& trend);

/// Sentences about lines that made no points; empty: there are none.
std::string left_out_text(const View& trend);

/// "SLOWER" and the like as class and colour: "bad", "good", "doubtful".
std::string trend_class(const std::string& verdict);

}  // namespace kvproof
