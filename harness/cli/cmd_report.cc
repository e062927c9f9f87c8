// kvproof report: a record, or a comparison, as a table again, or in the formats of other tools.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <array>
#include <optional>

#include "harness/cli/config_flags.h"
#include "harness/cli/output_file.h"
#include "harness/record/text_file.h"
#include "harness/report/comparison/comparison.h"
#include "harness/report/comparison/csv.h"
#include "harness/report/comparison/html/comparison_page.h"
#include "harness/report/comparison/junit.h"
#include "harness/report/comparison/markdown.h"
#include "harness/report/comparison/table.h"
#include "harness/report/export/csv.h"
#include "harness/report/export/gbench.h"
#include "harness/report/export/junit.h"
#include "harness/report/export/markdown.h"
#include "harness/report/html/html.h"
#include "harness/report/table.h"

namespace kvproof::cli {
namespace {

using Render = std::string (*)(const Json& document);
using RenderTable = std::string (*)(const Json& document, bool colour, int width);

/// What renders a record, and what a comparison.
struct Format {
  const char* name;
  Render of_record, of_comparison;  // null: the table, which depends on the terminal, too
  const char* no_comparison;        // why a comparison has no such format; null: it has
};

std::string comparison_markdown(const Json& document) { return render_comparison_markdown(document); }

constexpr std::array<Format, 6> kFormats = {
    {{"table", nullptr, nullptr, nullptr},
     {"markdown", render_markdown, comparison_markdown, nullptr},
     {"csv", render_csv, render_comparison_csv, nullptr},
     {"junit", render_junit, render_comparison_junit, nullptr},
     {"gbench", render_gbench, nullptr,
      "Google Benchmark's format holds the times of one program: write the base's and the candidate's records"},
     {"html", render_html, render_comparison_html, nullptr}}};

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const Format& format : kFormats) names.emplace_back(format.name);
  return names;
}

void declare_report(CLI::App& app) {
  add_positional(app, "RECORD", fmt::format("A file that kvproof run wrote, in {}/, or a comparison's", kRunFolder));
  add_value(app, "--to", "FORMAT", fmt::format("{}; default table", fmt::join(format_names(), ", ")));
  add_value(app, "--out", "FILE", "Where to write it; its folder is made, the file replaced. Default stdout");
}

struct Wanted {
  std::string to = "table";
  std::optional<std::string> out;
};

Wanted read_report_flags(const Call& call) {
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

/// As run or compare prints it; in a file without colours and of a fixed width.
std::string table_of(const Json& document, bool comparison, bool to_file) {
  const RenderTable render = comparison ? render_comparison : render_table;
  if (to_file) return render(document, false, 120);
  return render(document, Console::colour_on_stdout(), Console::width());
}

std::string text_of(const Json& document, const Wanted& wanted) {
  const bool comparison = comparison::is_comparison(document);
  for (const Format& format : kFormats) {
    if (wanted.to != format.name) continue;
    if (comparison && format.no_comparison != nullptr)
      throw ArgumentError("--to", fmt::format("{} is nothing for a comparison: {}", format.name, format.no_comparison));
    const Render render = comparison ? format.of_comparison : format.of_record;
    if (render != nullptr) return render(document);
  }
  return table_of(document, comparison, wanted.out.has_value());
}

ExitCode run_report(Call& call) {
  const auto file = call.arguments.required("RECORD", "the file that kvproof run wrote");
  const Wanted wanted = read_report_flags(call);
  const Json document = read_json(file);
  if (!comparison::is_comparison(document)) check_record(document, file);
  std::string text;
  try {
    text = text_of(document, wanted);   // made also where JSON is wanted: it checks the record
  } catch (const RecordError& error) {  // a damaged field is told with the file it stands in
    throw RecordError(file + "#" + error.place(), error.message());
  }
  call.console.document(document);
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
          "Print a record or a comparison as a table again, or write it in another format",
          {"table     as run prints it; in a file without colours, 120 columns wide",
           "markdown  for a comment on a pull request, or >> $GITHUB_STEP_SUMMARY",
           "csv       a row for each path of each case, for spreadsheets and data frames",
           "junit     XML: cases and verifications as the tests of a CI system",
           "gbench    Google Benchmark's JSON: for compare.py, github-action-benchmark, Bencher",
           "html      one page with plots that needs no network",
           "Of a comparison: all but gbench.",
           "The exit code says whether the record could be read and written, not what it says. JSON: the record."},
          {ExitCode::failed},
          declare_report,
          run_report};
}

}  // namespace kvproof::cli
