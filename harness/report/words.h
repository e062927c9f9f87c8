// What the reports say of a record, in words: the terminal table and the other formats say the same. Every text is safe
// for a terminal: control characters of the record are escaped. All throw RecordError, placed at the damaged field.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/record/view.h"

namespace kvproof {

// --- what ran (header.cc)

/// Of an entry of `checkpoints`: file or spec, step, generation, parameters.
std::string checkpoint_text(const View& checkpoint);

/// Backend, dtype, device and threads of the cases that ran, and where naive computes logits.
std::string settings_text(const View& record);

std::string machine_text(const View& machine);

/// Of one of a record's several machines: "machine 1" is the first, whose index is 0.
std::string machine_name(int64_t index);

/// "kvproof run demo.yaml"; of a shard ", shard 2 of 4" behind it, of a merged record ", merged of 4 shards".
std::string title_text(const View& record);

/// The command that shows the run's cases again; of a merged record those of the shards that something was wrong with, of
/// all where nothing was. Quoted for a shell, not yet safe for a terminal.
std::vector<std::string> commands_of(const View& record);

/// The processes of a run that was cut off and gone on with.
struct Sessions {
  std::string of;                   // "", or of a merged record "shard 2: "
  std::vector<std::string> begins;  // more than one
};

/// Of a run, or of the shards it was merged of; none where one process did it all, and in records of before that was told.
std::vector<Sessions> sessions_of(const View& record);

/// Of an entry of `machine.peaks`: what was read and multiplied a second at best.
std::string peaks_text(const View& peaks);

std::string program_text(const View& program);

/// The last line: how many cases came out how, the exit code and its meaning.
std::string closing_text(const View& record);

// --- is it right? (agreement.cc, verified.cc)

/// "capacity error: prompts.long: …"
std::string error_text(const View& error);

/// The record's verifications; none in records of before runs verified.
std::vector<View> verifications_of(const View& record);

/// What verification said of a case's model: "PASS"; "" in records of before runs verified.
std::string verification_of(const View& one_case);

/// How many of the cases that ran: "3 VALID, 2 INVALID"; "" where none did.
std::string validity_tally(const View& record);

/// "demo float32", with the device, threads and shard where `all` verifications have two of that name.
std::string verification_name(const View& one, const std::vector<View>& all);

/// How much a PASS covers; else why it is none.
std::string verification_text(const View& one);

// --- how fast is it? (speed.cc)

/// Of a path's `metrics`. Absent: null there.
std::optional<double> median_of(const View& metrics, const char* name);

/// What share of the machine's peak the path reached in "prefill" or "decode". Absent: not measured, or an older record.
std::optional<double> share_of(const View& path, const char* phase, const char* share);

/// "4212 (31 %)": a rate, and what share of the peak it is.
std::string rate_text(std::optional<double> rate, std::optional<double> share);

/// Of a ratio: "[6.63, 6.70]"; "" where n is too small for one.
std::string interval_of(const View& ratio);

/// Why a case is INVALID; empty: it is not.
std::vector<std::string> faults_of(const View& one_case);

/// Why a speed-up carries a question mark.
std::string why_unverified(const View& one_case);

}  // namespace kvproof
