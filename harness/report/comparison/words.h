// What the reports say of a comparison, in words: all formats say the same. Every text is safe for a terminal and for the
// log of a workflow. Inside harness/report/comparison and its pages only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/report/comparison/comparison.h"
#include "harness/report/page.h"

namespace kvproof::comparison {

/// A text of the document as visible() has it, and without what the log of a GitHub workflow would obey: of "::" and "##["
/// the second character is written out (\x3a, \x23), as is a colon at the beginning.
std::string told(std::string_view text);

/// A value that is compared to the digit: "1858", "DISAGREE", "none" for null; of more than 120 columns its beginning.
std::string value_text(const Json& value);

/// "program build/kvproof, kvproof 0.1.0, commit a1b2c3d with uncommitted changes, of 2026-11-22T10:15:00Z".
std::string side_text(const Side& side);

/// "Intel(R) Xeon(R), fingerprint f17ce5b7a363c97f".
std::string machine_text(const Side& side);

/// Whether both are known to have been on one machine.
bool same_machine(const Comparison& all);

/// "engine.tokens, row 0, token 17"
std::string place_text(const Change& change);

/// "engine.tokens, row 0, token 17: 468 in the base, 1858 in the candidate", and whether that was accepted.
std::string change_text(const Change& change);

/// Of a case that only the base has.
std::string missing_text(const Case& one);

// --- times

/// "1.053x", "12.41x", "124.1x".
std::string ratio_text(double ratio);

/// "slower", "faster", "same": what the digits of ratio_text say.
const char* direction(double ratio);

/// "[1.041, 1.066]"; "–" where there are too few blocks for one.
std::string interval_text(const Ratio& ratio);

/// "1.053x slower [1.041, 1.066]"
std::string ratio_sentence(const Ratio& ratio);

/// "2.0 %", "12 %"; "–" without one.
std::string share_text(std::optional<double> share);

/// "18.21 ms → 19.17 ms"; "" where they are not known.
std::string times_text(const Metric& metric);

/// Whether a second session was asked and what it said, why nothing can be told, and what would help: parts of a sentence.
std::vector<std::string> remarks_on(const Metric& metric);

/// A δ that times of the document were held against, of which metrics, and where it comes from.
struct MarginText {
  std::string margin;
  std::vector<std::string> metrics;
  std::string source;
};
std::vector<MarginText> margins_of(const Timing& timing);

/// "0.2 s", "94.2 s", "172 s".
std::string seconds_text(double seconds);

/// How the times were taken: blocks, rounds, how long it took.
std::string session_text(const Session& session);

/// "2.10x [2.02, 2.19], floor 2.50x".
std::string floor_text(const Floor& floor);

// --- the whole

/// What the words of the times' table mean: each verdict, δ, MDE and control; of two runs' times only the first ones.
struct Explanation {
  const char *word, *text;
};
std::vector<Explanation> legend(const Timing& timing);

/// Who compared, and how long it took where that is known.
std::string comparer_text(const Comparison& all);

/// "kvproof compare configs/ci.yaml"; of two documents without a config's name.
std::string title_text(const Comparison& all);

/// "Exact values: IDENTICAL. Times: REGRESSED. Exit code 1: the candidate is slower, or does not do the same."
std::string closing_text(const Comparison& all);

Ink ink_of_word(const std::string& verdict);

}  // namespace kvproof::comparison
