// A record as the JSON that Google Benchmark writes, for the tools that read it: compare.py, github-action-benchmark
// (tool googlecpp), Bencher (adapter cpp_google).
#pragma once

#include <string>

#include "harness/record/record.h"

namespace kvproof {

/// A row of type "iteration" for each repetition of CASE/PATH/prefill, CASE/PATH/decode and CASE/PATH/e2e, PATH being naive
/// and engine; the same benchmark's rows stand together, in the order of their repetitions.
///
/// real_time  ns of that repetition; of decode the mean gap between two tokens, and iterations are the gaps
/// cpu_time   of e2e: the CPU time of the call, all threads together. 0 where there is none: the record has no CPU time of
///            its parts, nor of an engine in a process of its own. The readers need the field
/// tok_per_s  as the record's metrics define prefill_, decode_ and output_tok_per_s, of that repetition
/// counters   what all repetitions together say of growth, in each row alike: step_ns_at_zero, step_ns_per_token and
///            growth_exponent of decode, break_even_tokens and of_ceiling of the engine's e2e; those that exist
/// errors     a case that could not run is one row CASE with error_occurred and no time (0); the rows of an INVALID case
///            keep their times and have error_occurred and the reasons as well
///
/// record  a run's record, as results/README.md has it
/// throws  RecordError naming the field that is missing or of another type
std::string render_gbench(const Json& record);

}  // namespace kvproof
