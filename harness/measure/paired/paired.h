// One session of a comparison: blocks of fresh processes that take turns A B B A, and the samples they leave. Nothing is
// judged here (harness/compare) and no clock is read: each time is the child's own.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "harness/measure/paired/measure_child.h"
#include "harness/record/journal.h"

namespace kvproof {

/// What is timed of a case.
struct PairedCase {
  std::string id;
  std::vector<Timed> timed = {all_timed().begin(), all_timed().end()};
  bool controlled = true;  // the base against its own copy, too
};

struct PairedSpec {
  /// Starts a child; the control is a further base. Asked once for each side and block; what it returns ends with the block.
  std::function<StartedChild(Side)> start;
  std::vector<PairedCase> cases;  // not empty; in an order that needs each model once
  int64_t blocks = 12, rounds = 5;
  int64_t epoch_ns = 25'000'000;  // at least, on the slower side
  WarmUp warm_up = {};
  MeasureDeadlines deadlines = {};
};

/// A B B A: two epochs of each side, equally many calls in all four.
struct Round {
  std::array<EpochTimes, 2> base, other;  // base runs first and last
};

/// The rounds of one part of one case in one block.
struct Rounds {
  std::string id;
  Timed timed;
  Side against = Side::candidate;  // whom the base is held against: candidate or control
  std::vector<Round> rounds;
};

/// What a case gave on each side, in every block the same.
struct PairedFacts {
  std::map<Side, CaseFacts> sides;  // of control where the case is controlled
  std::string untimed;              // why it has no times, a sentence without its stop; empty: it has
};

struct PairedSession {
  MeasureHello base, candidate;
  std::vector<PairedFacts> cases;           // as in the spec
  std::vector<std::vector<Rounds>> blocks;  // those that came to their end
  bool interrupted = false;
};

/// Where a session is. returns whether to go on
struct PairedProgress {
  int64_t block = 0, blocks = 0;
  std::string id;     // of the case
  std::string stage;  // "start" (no case), "open", or what is timed
};
using PairedListener = std::function<bool(const PairedProgress&)>;

/// Runs a session.
///
/// A block starts its children, all at a time, then takes the cases in turn: all sides open a case and warm up, one after the
/// other, in the next block the other way round; then, for each part that is timed, base and candidate agree on a number of calls
/// (the larger of what each needs for epoch_ns; those epochs are no samples) and run `rounds` rounds; so do base and
/// control. While one measures the others sleep in a read.
/// A part of which there is nothing (decode of one token) has no rounds. A case whose tokens differ between base and
/// candidate, or whose warm-up found a fault, is opened in the first block and never timed: PairedFacts says why.
///
/// journal   may be null; gets {"kind": "session"}, of the first block {"kind": "case"} for each case as it is open on all
///           sides, and {"kind": "block"} as each block ends
/// throws    IncomparableError; SubjectError: a child failed, a case gave in one block what it did not give in the first,
///           or the control is not the base (other tokens); RecordError: the journal cannot be written.
///           std::invalid_argument: the spec has no cases, or less than one of something
PairedSession measure_paired(const PairedSpec& spec, Journal* journal = nullptr, const PairedListener& listener = {});

/// As measure_paired's journal has it.
Json block_json(int64_t block, const std::vector<Rounds>& rounds);

enum class ClockKind { wall, cpu };

/// y[block][round] = ln(time of the other side / time of the base), each the sum of a round's two epochs: what
/// harness/compare/blocks.h takes. Positive: the other side is slower. Blocks without such rounds are left out.
/// throws std::domain_error: a time is zero: the CPU clock did not move
std::vector<std::vector<double>> log_ratios(const std::vector<std::vector<Rounds>>& blocks, const std::string& id,
                                            const Timed& timed, Side against, ClockKind clock);

}  // namespace kvproof
