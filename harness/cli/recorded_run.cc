#include "harness/cli/recorded_run.h"

#include <fmt/format.h>

#include "harness/cli/interrupt.h"
#include "harness/cli/progress_line.h"
#include "harness/duration.h"
#include "harness/shell_word.h"

namespace kvproof::cli {
namespace {

class RunProgress final : public Progress {
 public:
  void on_event(const ProgressEvent& event) override {
    auto line = fmt::format("[{}/{}] {}: {}", event.number, event.cases, event.case_id, event.stage);
    if (event.total > 0) line += fmt::format(" {}/{}", event.done + 1, event.total);
    if (event.seconds_left) line += fmt::format(", {} to go", duration_text(*event.seconds_left));
    line_.show(line);
  }
  void clear() { line_.clear(); }

 private:
  ProgressLine line_;
};

void write_record(RunJournal& journal, const RunOutcome& outcome, Console& console) {
  write_json(journal.record(), outcome.record);
  std::filesystem::path shown = journal.record().lexically_proximate(std::filesystem::current_path());
  if (shown.string().starts_with("..")) shown = journal.record();
  console.note("record " + shown.string());
  if (outcome.code != ExitCode::interrupted) return journal.finish();
  console.note(fmt::format("interrupted; to go on: kvproof run --resume {}", shell_quoted(journal.file().string())));
}

}  // namespace

RecordedRun run_and_record(const LoadedConfig& config, RunJournal& journal, const std::optional<Shard>& shard,
                           Call& call) {
  RunProgress progress;
  const InterruptGuard guard(/*second_ends=*/true);
  RecordedRun done{
      run_config(config, call.words, &progress, {}, {&journal, InterruptGuard::raised}), journal.record(), {}};
  if (shard) done.outcome.record["shard"] = shard_json(*shard);
  progress.clear();
  try {
    write_record(journal, done.outcome, call.console);
  } catch (const RecordError& error) {
    done.not_written = error;
  }
  return done;
}

}  // namespace kvproof::cli
