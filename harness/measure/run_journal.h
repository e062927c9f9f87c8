// A run on disk while it goes on: what was measured and judged, line by line, so that a run that was cut off is finished
// by another process. results/README.md has the lines.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/config/config.h"
#include "harness/error.h"
#include "harness/machine/machine.h"
#include "harness/measure/case_log.h"
#include "harness/measure/shard.h"
#include "harness/record/journal.h"
#include "harness/record/view.h"

namespace kvproof {

/// What was judged of a group of cases.
struct JudgedGroup {
  std::vector<Json> cases;                                     // of the record
  std::optional<Json> verification;                            // of the record; absent: none ran
  std::vector<std::pair<std::string, std::string>> warnings;  // case, text
  ExitCode code = ExitCode::ok;
  bool interrupted = false;  // then cases that had no whole round are null, and the others may not be judged; never in a journal
};

/// What was found out about a checkpoint.
struct OpenedCheckpoint {
  Json entry;  // of the record
  std::vector<std::string> warnings;
};

class RunJournal {
 public:
  /// For a run that begins; keeps the config's time_limit.
  /// file      must not be there
  /// started   as utc_now says it
  /// sets      of --set, as given
  /// record    where the record will be written
  /// shard     whose cases the config was left; absent: all
  /// throws    RecordError: file cannot be made
  static RunJournal begin(const std::filesystem::path& file, const std::string& started, const LoadedConfig& config,
                          const std::vector<std::string>& sets, const std::vector<std::string>& command,
                          const std::filesystem::path& record, const std::optional<Shard>& shard = {});
  /// For one that was cut off.
  /// throws RecordError: no such file, not a run's journal, its run is finished and its record there
  static RunJournal resume(const std::filesystem::path& file);

  /// none: no such file, or an empty one, of a run that was killed before its first line; other: not a run's journal.
  enum class Kind { none, unfinished, finished, other };
  static Kind kind_of(const std::filesystem::path& file);

  const std::filesystem::path& file() const { return journal_.file(); }
  std::filesystem::path config_file() const;   // absolute
  std::filesystem::path config_given() const;  // as it was named, for the record
  std::vector<std::string> sets() const;
  std::vector<std::string> command() const;
  std::filesystem::path record() const;
  std::string started() const;
  /// What --max-time chose when the run began; absent: it was not given.
  std::optional<TimeLimit> time_limit() const;
  /// What --shard left of the config when the run began; absent: all of it.
  std::optional<Shard> shard() const;
  bool resumed() const { return resumed_; }

  /// Begins a process's part: writes down on what machine, with what program; when resumed it must be the first one's.
  /// throws RecordError: another config, program or machine, with both
  void open_session(const LoadedConfig& config, const Json& program, const MachineFacts& machine,
                    const Json& machine_record);
  /// The machine as the first process found it.
  const Json& first_machine() const { return first_machine_; }
  /// When each process began.
  std::vector<std::string> sessions() const { return sessions_; }

  /// Of one that an earlier process opened; null: none did.
  const OpenedCheckpoint* checkpoint(const std::string& name) const;
  void add_checkpoint(const std::string& name, const OpenedCheckpoint& opened);

  /// What was judged of exactly these cases, by their ids.
  const JudgedGroup* judged(const std::vector<std::string>& ids) const;
  void add_judged(const JudgedGroup& group);

  /// subject  that the case runs on; rounds of an earlier process must have run on the same
  std::unique_ptr<CaseLog> log_of(const std::string& case_id, const SubjectInfo& subject);

  /// What earlier processes measured, in order: for RunPeaks::take.
  const Json& peaks() const { return peaks_; }
  void add_peaks(const Json& peaks);

  /// The record is written: there is nothing to go on with.
  void finish();

  /// Why lines are missing since, and the run cannot be gone on with; empty: none are. A run goes on without its journal.
  const std::string& broken() const { return broken_; }

 private:
  struct Earlier {
    Json tokens;   // of both first calls
    Json subject;  // backend, dtype, device, threads
    EarlierRounds rounds;
  };
  class Log;

  explicit RunJournal(Journal journal) : journal_(std::move(journal)) {}
  void append(const Json& line);
  void take(const View& line);
  void take_case(const View& line);

  Journal journal_;
  std::string broken_;
  bool resumed_ = false;
  Json header_, first_machine_, peaks_ = Json::array();
  std::vector<std::string> sessions_;
  std::map<std::string, OpenedCheckpoint> checkpoints_;
  std::map<std::string, Earlier> cases_;
  std::map<std::vector<std::string>, JudgedGroup> groups_;
};

}  // namespace kvproof
