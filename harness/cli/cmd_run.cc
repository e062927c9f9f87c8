// kvproof run: a config to a record, a table and an exit code.
#include "harness/measure/run.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "harness/cli/config_flags.h"
#include "harness/cli/output_file.h"
#include "harness/cli/progress_line.h"
#include "harness/record/record.h"
#include "harness/report/table.h"

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

void declare(CLI::App& app) {
  add_config_flags(app);
  add_value(app, "--out", "FILE", fmt::format("Where to write the record; default a new file in {}/ here", kRunFolder));
}

void write_record(const std::optional<std::string>& out, const Json& record, Console& console) {
  const std::filesystem::path file = out ? std::filesystem::path(*out) : write_run(kRunFolder, record);
  if (out) write_json(file, record);
  console.note("record " + file.string());
}

ExitCode run(Call& call) {
  const auto config = read_config_flags(call.arguments);
  const auto out = call.arguments.text("--out");
  if (out == "") throw ArgumentError("--out", "is empty; give a file or leave the flag out");
  prepare_output_file(out.value_or(std::string(kRunFolder) + "/record"));

  RunProgress progress;
  const auto outcome = run_config(config, call.words, &progress);
  progress.clear();

  // Written before anything is printed: who reads our output may be gone. Printed also where it cannot be written.
  std::optional<RecordError> not_written;
  try {
    write_record(out, outcome.record, call.console);
  } catch (const RecordError& error) {
    not_written = error;
  }
  call.console.document(outcome.record);
  call.console.text(render_table(outcome.record, Console::colour_on_stdout(), Console::width()));
  if (not_written) throw RecordError(*not_written);
  return outcome.code;
}

}  // namespace

Command run_command() {
  return {
      "run",
      "Run a config: naive and engine side by side, one record, one table",
      {"Progress on stderr where that is a terminal. A case that fails does not stop the others. JSON: the record."},
      {ExitCode::disagree, ExitCode::failed},
      declare,
      run};
}

}  // namespace kvproof::cli
