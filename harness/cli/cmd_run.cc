// kvproof run: a config to a record, a table and an exit code.
#include "harness/measure/run.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "harness/cli/config_flags.h"
#include "harness/cli/progress_line.h"
#include "harness/cli/recorded_run.h"
#include "harness/cli/run_files.h"
#include "harness/measure/shard.h"
#include "harness/measure/time_limit.h"
#include "harness/record/record.h"
#include "harness/report/table.h"

namespace kvproof::cli {
namespace {

void declare_run(CLI::App& app) {
  add_config_flags(app);
  add_value(app, "--out", "FILE", fmt::format("Where to write the record; default a new file in {}/ here", kRunFolder));
  add_max_time(app);
  add_shard(app);
  add_value(app, "--resume", "JOURNAL", "Go on with a run that was cut off: the .jsonl file beside its record");
}

/// What is run: a config from the command line, or the rest of an earlier run's.
struct Work {
  LoadedConfig config;
  RunJournal journal;
  std::optional<Shard> shard;  // whose cases are left in the config; absent: all are
};

/// Plans the run, and puts as many repetitions into the config as fit into the time.
void limit_time(LoadedConfig& config, double max_time_s) {
  ProgressLine line;
  line.show("plan: opens the checkpoints and times a few forwards");
  put_into(config, time_limit_of(fit_into(plan_config(config), max_time_s), max_time_s));
}

Work begin(const Call& call) {
  const Arguments& arguments = call.arguments;
  const auto resume = arguments.text("--resume");
  if (!resume) {
    const auto max_time_s = read_max_time(arguments);
    const auto number = read_shard(arguments);
    LoadedConfig config = read_config_flags(arguments);
    std::optional<Shard> shard;
    if (number) shard = shard_of(config, number->index, number->count);
    if (shard) select(config, *shard);
    if (max_time_s) limit_time(config, *max_time_s);
    RunJournal journal = begin_run(arguments.text("--out"), config, arguments.texts("--set"), call.words, shard);
    return {std::move(config), std::move(journal), std::move(shard)};
  }
  for (const char* other : {"CONFIG", "--set", "--out", "--max-time", "--shard"}) {
    if (arguments.given(other))
      throw ArgumentError(other, "cannot be given beside --resume: the journal says what was run, and where to");
  }
  RunJournal journal = RunJournal::resume(*resume);
  LoadedConfig config = load_config(journal.config_file(), journal.sets());
  config.config.file = journal.config_given();
  std::optional<Shard> shard = journal.shard();
  if (shard) select(config, *shard);
  if (const auto limit = journal.time_limit()) put_into(config, *limit);
  return {std::move(config), std::move(journal), std::move(shard)};
}

ExitCode run_run(Call& call) {
  Work work = begin(call);
  if (work.shard) call.console.note(shard_text(*work.shard));
  if (work.config.time_limit) call.console.note(time_limit_text(*work.config.time_limit));
  const RecordedRun done = run_and_record(work.config, work.journal, work.shard, call);
  call.console.document(done.outcome.record);
  call.console.text(render_table(done.outcome.record, Console::colour_on_stdout(), Console::width()));
  if (done.not_written) throw RecordError(*done.not_written);  // printed also where it cannot be written
  return done.outcome.code;
}

}  // namespace

Command run_command() {
  return {
      "run",
      "Run a config: naive and engine side by side, one record, one table",
      {"Progress on stderr where that is a terminal. A case that fails does not stop the others. JSON: the record.",
       "--max-time plans first, on this machine, and says what it chose. It is an estimate: a run that takes longer is not stopped.",
       "Ten runs of two small configs took 0.7 to 1.1 of it: rows that stop early are counted in full, other programs are not.",
       "A case that cannot be planned ends a run with --max-time before it begins; without, it fails alone.",
       "What is measured is in a .jsonl file beside the record as soon as it is measured. After Ctrl-C or SIGTERM the record holds what was measured",
       "by then, judged or not; --resume goes on with that run, or one that was killed: on the same machine, with the same program and config.",
       "--shard K/N opens every checkpoint of the config to find out what its cases cost; where one cannot be opened, nothing is run.",
       "A shard without cases (N above their number) writes a record without cases. --max-time is for the shard alone."},
      {ExitCode::disagree, ExitCode::failed, ExitCode::interrupted},
      declare_run,
      run_run};
}

}  // namespace kvproof::cli
