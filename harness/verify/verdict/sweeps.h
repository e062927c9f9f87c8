// The same verification again and again on fresh seeds: how often does it raise an alarm where nothing is wrong?
#pragma once

#include <filesystem>
#include <string>

#include "harness/record/record.h"
#include "harness/verify/verdict/verify.h"

namespace kvproof {

/// Verifies with seeds options.seed … options.seed + count - 1, and appends one line of JSON to a file after each:
/// {"checkpoint", "dtype", "depth", "seed", "verdict", "scenarios", "worst": {"L0": ratio, …}, "explanation"}.
/// Seeds that the file has for this checkpoint, dtype and depth are not run again; a line cut short by a kill is dropped.
///
/// returns {"sweeps", "pass", "fail", "inconclusive", "alarm_rate_at_most": the upper end of the exact one-sided 95 %
///         interval of the share that are not PASS}
/// throws  RecordError: the file cannot be read or written
Json run_sweeps(const VerifyTarget& target, const VerifyOptions& options, int64_t count, const std::string& checkpoint,
                const std::filesystem::path& file);

/// The largest share that k of n still allow at 95 %, one-sided (Clopper and Pearson 1934).
double share_at_most(int64_t k, int64_t n);

}  // namespace kvproof
