// kvproof report: a record as a table again, or in the formats of other tools.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <array>
#include <optional>

#include "harness/cli/config_flags.h"
#include "harness/cli/output_file.h"
#include "harness/record/record.h"
#include "harness/report/export/csv.h"
#include "harness/report/export/gbench.h"
#include "harness/report/export/junit.h"
#include "harness/report/export/markdown.h"
#include "harness/report/html/html.h"
#include "harness/report/table.h"

namespace kvproof::cli {
namespace {

/// As run prints it; in a file without colours and of a fixed width.
std::string table_of(const Json& record, bool to_file) {
  if (to_file) return render_table(record, false, 120);
  return render_table(record, Console::colour_on_stdout(), Console::width());
}

struct Format {
  const char* name;
  std::string (*render)(const Json& record);  // null: the table, which depends on the terminal, too
};

constexpr std::array<Format, 6> kFormats = {{{"table", nullptr},
                                             {"markdown", render_markdown},
                                             {"csv", render_csv},
                                             {"junit", render_junit},
                                             {"gbench", render_gbench},
                                             {"html", render_html}}};

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const Format& format : kFormats) names.emplace_back(format.name);
  return names;
}

void declare(CLI::App& app) {
  add_positional(app, "RECORD", fmt::format("A file that kvproof run wrote, in {}/", kRunFolder));
  add_value(app, "--to", "FORMAT", fmt::format("{}; default table", fmt::join(format_names(), ", ")));
  add_value(app, "--out", "FILE", "Where to write it; its folder is made, the file replaced. Default stdout");
}

struct Wanted {
  std::string to = "table";
  std::optional<std::string> out;
};

Wanted read_flags(const Call& call) {
  Wanted wanted;
  const auto to = call.arguments.word("--to", format_names());
  wanted.out = call.arguments.text("--out");
  for (const char* flag : {"--to", "--out"}) {
    if (call.console.json() && call.arguments.given(flag))
      throw ArgumentError(flag, "cannot be combined with --format json, which prints the record itself; leave one out");
  }
  if (wanted.out == "") throw ArgumentError("--out", "is empty; give a file or leave the flag out");
  wanted.to = to.value_or(wanted.to);
  if (wanted.to == "html" && !wanted.out && isatty(STDOUT_FILENO) != 0)
    throw ArgumentError("--to", "a page of HTML is nothing for a terminal; add --out report.html and open that");
  return wanted;
}

std::string text_of(const Json& record, const Wanted& wanted) {
  for (const Format& format : kFormats)
    if (format.render != nullptr && wanted.to == format.name) return format.render(record);
  return table_of(record, wanted.out.has_value());
}

ExitCode run(Call& call) {
  const auto file = call.arguments.required("RECORD", "the file that kvproof run wrote");
  const Wanted wanted = read_flags(call);
  const auto record = read_record(file);
  std::string text;
  try {
    text = text_of(record, wanted);     // made also where JSON is wanted: it checks the record
  } catch (const RecordError& error) {  // a damaged field is told with the file it stands in
    throw RecordError(file + "#" + error.place(), error.message());
  }
  call.console.document(record);
  if (wanted.out) {
    if (std::error_code error; std::filesystem::equivalent(*wanted.out, file, error))
      throw ArgumentError("--out", "is the record itself, which would be lost; give another file");
    prepare_output_file(*wanted.out);
    write_text(*wanted.out, text);
    call.console.note(wanted.to + " " + *wanted.out);
  } else {
    call.console.text(text);
  }
  return ExitCode::ok;
}

}  // namespace

Command report_command() {
  return {"report",
          "Print a record as a table again, or write it in another format",
          {"table     as run prints it; in a file without colours, 120 columns wide",
           "markdown  for a comment on a pull request, or >> $GITHUB_STEP_SUMMARY",
           "csv       a row for each path of each case, for spreadsheets and data frames",
           "junit     XML: cases and verifications as the tests of a CI system",
           "gbench    Google Benchmark's JSON: for compare.py, github-action-benchmark, Bencher",
           "html      one page with plots that needs no network",
           "The exit code says whether the record could be read and written, not what it says. JSON: the record."},
          {ExitCode::failed},
          declare,
          run};
}

}  // namespace kvproof::cli
