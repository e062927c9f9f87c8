// The numbers that the page's plots are drawn from. Inside harness/report/html only.
#pragma once

#include "harness/record/view.h"

namespace kvproof {

/// {"cases": [...], "groups": [...]}, what charts.js reads: times in ns, rates per second, as the record has them.
///
/// cases   those that ran: id, label (shape), verdict, group, repetitions, growth (figures_of() the case's crossover; curve;
///         withheld; before: tokens before the first generated one, those that were in the cache included), and a plot for
///         each of
///           steps      naive, engine: {depth[], ns[] (medians over the repetitions), count (of all steps)}
///           gaps       naive, engine: {ns[] ascending, share[] (of all gaps, at most that long), count}
///           runs       naive, engine: [{kind ("first call", "warm-up", "repetition"), number, order, e2e_ns}],
///                      median_ns of each
///           speedup    speedup_by_length()
///           roofline   {points[] {path, phase, intensity (FLOP/byte), flops_per_s, share of the peak}, flops_per_s,
///                      reads[] {name, bytes_per_s}}
///           error      error_by_position()
///         A plot that the record has nothing for is {"none": why}.
/// groups  cases that differ in their prompt and length alone: ends[] {case, length, ratio, low, high, verified}
///
/// Lists longer than a plot can show are thinned evenly, their ends kept.
/// throws RecordError: a damaged record
Json plot_data(const View& record);

/// Of the list's places those that are kept where it has more than `most`: evenly, the first and the last among them.
std::vector<std::size_t> kept_places(std::size_t size, std::size_t most);

/// {length[] (tokens of the text), ratio[], low[], high[]}: whole run up to there; verified; positions[]: the ratio of the
/// positions that both paths had pushed through the model by then, or null: not countable; ceiling: what FLOPs allow at the
/// end, or null.
Json speedup_by_length(const View& one_case);

/// Where the path's phases stand under the machine's roofs; {"none": why} without measured peaks.
/// FLOPs are the cost model's; bytes are what a forward must read at least: weights once, cached keys and values.
Json roofline(const View& record, const View& one_case);

/// How far the verification of the case's group saw the engine off, by position: {dtype, logits {scenario, positions[],
/// max_abs[]} or null, levels[] {level, name, positions[], max_abs[]} of the same sequence, findings[] {level, name, scenario, position, error}, worst[] {level, name, ratio (of what is
/// allowed)}: of the levels that compare numbers, over all positions}.
Json error_by_position(const View& record, const View& one_case);

/// A plot that is not drawn, and why.
Json no_plot(const std::string& why);

}  // namespace kvproof
