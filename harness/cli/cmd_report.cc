// kvproof report: the table of a record again.
#include "harness/report/table.h"

#include <fmt/format.h>

#include "harness/cli/config_flags.h"
#include "harness/record/record.h"

namespace kvproof::cli {
namespace {

void declare(CLI::App& app) {
  add_positional(app, "RECORD", fmt::format("A file that kvproof run wrote, in {}/", kRunFolder));
}

/// The table of a record; a damaged field is told with the file it stands in.
std::string table_of(const Json& record, const std::string& file) {
  try {
    return render_table(record, Console::colour_on_stdout(), Console::width());
  } catch (const RecordError& error) {
    throw RecordError(file + "#" + error.place(), error.message());
  }
}

ExitCode run(Call& call) {
  const auto file = call.arguments.required("RECORD", "the file that kvproof run wrote");
  const auto record = read_record(file);
  call.console.text(table_of(record, file));  // made also where JSON is wanted: it checks the record
  call.console.document(record);
  return ExitCode::ok;
}

}  // namespace

Command report_command() {
  return {"report",
          "Print the table of a record again",
          {"The exit code says whether the record could be read, not what it says. JSON: the record."},
          {ExitCode::failed},
          declare,
          run};
}

}  // namespace kvproof::cli
