// kvproof run: a config to a record, a table and an exit code.
#include "harness/measure/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "harness/cli/config_flags.h"
#include "harness/cli/output_file.h"
#include "harness/record/record.h"
#include "harness/report/table.h"

namespace kvproof::cli {
namespace {

/// The first bytes of a line, whole characters only.
std::string shortened(const std::string& line, int bytes) {
  const auto is_continuation = [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; };
  auto end = std::min(line.size(), static_cast<std::size_t>(std::max(1, bytes)));
  while (end > 0 && end < line.size() && is_continuation(line[end])) --end;
  return line.substr(0, end);
}

/// One line on the terminal's last row, written over at each event; nothing where stderr is no terminal.
class ProgressLine final : public Progress {
 public:
  ~ProgressLine() override { clear(); }

  void on_event(const ProgressEvent& event) override {
    if (!Console::stderr_is_terminal()) return;
    auto line = fmt::format("[{}/{}] {}: {}", event.number, event.cases, event.case_id, event.stage);
    if (event.total > 0) line += fmt::format(" {}/{}", event.done + 1, event.total);
    if (event.seconds_left) line += fmt::format(", {} to go", duration_text(*event.seconds_left));
    fmt::print(stderr, "\r\033[K{}",
               shortened(line, Console::stderr_width() - 1));  // a wrapped line cannot be written over
    std::fflush(stderr);
    shown_ = true;
  }

  void clear() {
    if (!shown_) return;
    fmt::print(stderr, "\r\033[K");
    std::fflush(stderr);
    shown_ = false;
  }

 private:
  bool shown_ = false;
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

  ProgressLine progress;
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
