// The history of a benchmark: a file of JSON lines that only grows, one line for each case of each record, so small that it
// can be committed, and made of nothing but the records, so that it can be made again.
//
//   schema       {"name": "kvproof-history", "version": 1}
//   record       XXH3's 128 bits over the record's values, whatever their order or layout: which record it was
//   started      UTC;  release  its tag, or null
//   commit, dirty, version, build  of the program ("Release"; "Debug, sanitizers address")
//   config       the config's hash;  case  its id;  status;  error_kind  of a failed one, which has null for all that follows
//                but the machine
//   shape        "pp6 tg64";  workload  hash of what was computed, as in a baseline
//   fingerprint, cpu_model  of the machine;  backend, dtype, threads
//   agreement, validity  verdicts
//   token_forwards, kv_cache_bytes, times  as in a baseline, of naive and engine; times null where the case is INVALID
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/record/record.h"

namespace kvproof::track {

inline constexpr const char* kHistorySchema = "kvproof-history";
inline constexpr int64_t kHistoryVersion = 1;

/// One line, checked. What a failed case has not is empty, its times null.
struct HistoryLine {
  std::string record, started, commit, version, build, config, case_id, status, shape, workload, fingerprint, cpu_model,
      validity;
  bool dirty = false;
  std::optional<std::string> release;
  Json times;
  Json json;  // the line itself
};

/// throws RecordError placed at the pointer of a field: another schema or version, a field that is missing or of another
///        type
HistoryLine line_of(const Json& json);

/// The lines of a record, a case each, in its order.
/// throws RecordError: a damaged record; one of an interrupted run, which would count twice once it is finished
std::vector<HistoryLine> lines_of(const Json& record, const std::optional<std::string>& release = std::nullopt);

struct History {
  /// The oldest run first; those of one record together, in its order. Of two lines of one record and case the later
  /// counts: that is how a record gets its release afterwards, and why two copies of a history may be joined by `cat`.
  std::vector<HistoryLine> lines;
  std::optional<int64_t> unfinished;  // number of a last line that its writer, killed, left half; it is not among them
};

/// throws RecordError: no such file, unreadable; "FILE:LINE#FIELD": a line that is damaged
History read_history(const std::filesystem::path& file);

/// A record and where it was read.
struct Source {
  std::string file;
  Json record;
};

struct AddedRecord {
  enum class How {
    added,
    there,
    tagged
  };  // there: already, and as it is now; tagged: already, under another release or none

  std::string file;
  How how = How::added;
  int64_t cases = 0;
};

struct Addition {
  std::vector<AddedRecord> records;  // in the order they began
  bool cut = false;                  // a half line stood at the end, and was cut off
};

/// Appends records that the history does not have yet, in the order they began, by one write under a lock (flock), for which
/// it waits. Makes the file and its folder. A record that is there gets its release, where one is given.
///
/// release  of all of them
/// throws   RecordError: as lines_of (placed in the source) and read_history; the file cannot be written, and is as it was
Addition add_to_history(const std::filesystem::path& file, std::vector<Source> records,
                        const std::optional<std::string>& release);

/// Writes a history anew from records, the oldest first, in one step. Releases are kept: no record knows its own.
///
/// replace  whether records of the old history may be left out
/// returns  those of the new one
/// throws   RecordError: as lines_of; the file cannot be written, or is no history; ArgumentError("--replace"): records would
///          be lost
std::vector<AddedRecord> rebuild_history(const std::filesystem::path& file, std::vector<Source> records, bool replace);

}  // namespace kvproof::track
