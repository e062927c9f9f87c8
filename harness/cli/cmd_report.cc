// kvproof report: the table of a record again.
#include "harness/report/table.h"

#include <fmt/format.h>

#include "harness/cli/config_flags.h"
#include "harness/record/record.h"

namespace kvproof::cli {
namespace {

void declare(CLI::App& app) { add_positional(app, "RECORD", fmt::format("A file that kvproof run wrote, in {}/", kRunFolder)); }

ExitCode run(Call& call) {
  const auto record = read_record(call.arguments.required("RECORD", "the file that kvproof run wrote"));
  const auto table = render_table(record, Console::colour_on_stdout(), Console::width());  // also where JSON is wanted: it checks
  call.console.document(record);
  call.console.text(table);
  return ExitCode::ok;
}

}  // namespace

Command report_command() {
  return {"report", "Print the table of a record again",
          {"The exit code says whether the record could be read, not what it says. JSON: the record."},
          {ExitCode::failed}, declare, run};
}

}  // namespace kvproof::cli
