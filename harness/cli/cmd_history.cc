// kvproof history: how a benchmark's times went from run to run, and near which commit they stepped.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "harness/cli/actions.h"
#include "harness/cli/output_file.h"
#include "harness/record/record.h"
#include "harness/record/text_file.h"
#include "harness/report/html/trend.h"
#include "harness/report/numbers.h"
#include "harness/report/text.h"
#include "harness/report/trend_table.h"
#include "harness/track/history.h"
#include "harness/track/trend.h"

namespace kvproof::cli {
namespace {

using track::AddedRecord;
using track::Source;

void declare_history(CLI::App& app) {
  add_action(app, "add, rebuild, check or report");
  add_positional(app, "HISTORY", "The file, such as results/history.jsonl");
  add_positionals(app, "RECORD", "add, rebuild: records of kvproof run, or folders of them");
  add_value(app, "--release", "TAG", "add: the records are of a release, to hold later ones against");
  add_toggle(app, "--replace", "rebuild: leave out records that are not among those given");
  add_list(app, "--metric", "METRIC",
           fmt::format("check, report: {}; all for all. Default {}", fmt::join(track::trend_metrics(), ", "),
                       fmt::join(track::default_trend_metrics(), " and ")));
  add_value(app, "--against", "TAG", "check, report: hold the newest points against a release");
  add_toggle(app, "--strict", "check: exit 1 where times are slower, 3 where nothing can be said");
  add_value(app, "--to", "FORMAT", "report: table or html; default html where --out ends so");
  add_value(app, "--out", "FILE", "report: where to write it; default stdout");
}

std::string file_of(const Call& call) {
  return call.arguments.required("HISTORY", "the file of the history, such as results/history.jsonl");
}

// --- add, rebuild

/// The records in a folder; other documents and interrupted runs are passed over, and said.
std::vector<Source> records_in(const std::filesystem::path& folder, Console& console) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == ".json" && !at->path().filename().string().starts_with('.'))
      files.push_back(at->path());
  }
  if (error) throw RecordError(folder.string(), "the folder cannot be read: " + error.message());
  std::sort(files.begin(), files.end());
  std::vector<Source> sources;
  for (const std::filesystem::path& file : files) {
    Json document = read_json(file);
    const Json* schema = document.is_object() && document.contains("schema") ? &document["schema"] : nullptr;
    if (schema == nullptr || !schema->is_object() || schema->value("name", Json()) != kRecordSchema) {
      console.note(file.string() + " is no record, and is passed over");
    } else if (document.value("partial", Json()) == true) {
      console.note(file.string() + " is of an interrupted run, and is passed over");
    } else {
      check_record(document, file.string());
      sources.push_back({file.string(), std::move(document)});
    }
  }
  return sources;
}

std::vector<Source> sources_of(const Call& call) {
  const std::vector<std::string> names = call.arguments.texts("RECORD");
  if (names.empty()) throw ArgumentError("RECORD", "is missing; give records of kvproof run, or a folder of them");
  std::vector<Source> sources;
  for (const std::string& name : names) {
    if (std::error_code error; std::filesystem::is_directory(name, error)) {
      for (Source& source : records_in(name, call.console)) sources.push_back(std::move(source));
    } else {
      sources.push_back({name, read_record(name)});
    }
  }
  return sources;
}

const char* word_of(AddedRecord::How how) {
  return how == AddedRecord::How::added ? "added" : how == AddedRecord::How::tagged ? "tagged" : "there already";
}

/// Says what became of each record.
void tell(Call& call, const std::string& history, const std::vector<AddedRecord>& records) {
  Json documents = Json::array();
  int64_t lines = 0;
  for (const AddedRecord& record : records) {
    const bool written = record.how != AddedRecord::How::there;
    if (!written) call.console.note(record.file + " is in the history already, and is not added again");
    lines += written ? record.cases : 0;
    documents.push_back({{"file", record.file}, {"how", word_of(record.how)}, {"cases", record.cases}});
  }
  call.console.document({{"history", history}, {"records", documents}, {"lines", lines}});
  call.console.text(fmt::format("{}: {} of {}\n", visible(history), counted(lines, "line"),
                                counted(static_cast<int64_t>(records.size()), "record")));
}

ExitCode add(Call& call) {
  const std::string file = file_of(call);
  const auto release = call.arguments.text("--release");
  if (release == "") throw ArgumentError("--release", "is empty; give a tag, such as v1.0, or leave the flag out");
  if (release) check_utf8(*release, "--release");
  const track::Addition addition = track::add_to_history(file, sources_of(call), release);
  if (addition.cut) call.console.warn(file + " ended in half a line, whose writer was ended; it was cut off");
  tell(call, file, addition.records);
  return ExitCode::ok;
}

ExitCode rebuild(Call& call) {
  const std::string file = file_of(call);
  const std::vector<Source> sources = sources_of(call);
  prepare_output_file(file);
  tell(call, file, track::rebuild_history(file, sources, call.arguments.given("--replace")));
  return ExitCode::ok;
}

// --- check, report

std::vector<std::string> metrics_of(const Call& call) {
  const std::vector<std::string>& known = track::trend_metrics();
  const std::vector<std::string> given = call.arguments.texts("--metric");
  if (given.empty()) return track::default_trend_metrics();
  std::vector<std::string> metrics;
  for (const std::string& name : given) {
    if (name == "all") return known;
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      throw ArgumentError(
          "--metric",
          fmt::format("\"{}\" is no metric of a history{}", name,
                      suggestion(name, known, fmt::format("give one of {}, or all", fmt::join(known, ", ")))));
    }
    if (std::find(metrics.begin(), metrics.end(), name) == metrics.end()) metrics.push_back(name);
  }
  return metrics;
}

Json trend(const Call& call) {
  const std::string file = file_of(call);
  const auto against = call.arguments.text("--against");
  if (against == "") throw ArgumentError("--against", "is empty; give a release's tag or leave the flag out");
  const track::TrendRequest request{file, metrics_of(call), against};
  const track::History history = track::read_history(file);
  if (history.unfinished)
    call.console.warn(
        fmt::format("{}:{}: half a line, whose writer was ended; it is passed over", file, *history.unfinished));
  return track::trend_of(history, request);
}

ExitCode check(Call& call) {
  Json document = trend(call);
  ExitCode code = ExitCode::ok;
  if (call.arguments.given("--strict")) {
    const std::string verdict = document["verdict"].get<std::string>();
    code = verdict == "SLOWER" ? ExitCode::regression : verdict == "TOO FEW" ? ExitCode::inconclusive : ExitCode::ok;
  }
  document["exit_code"] = static_cast<int>(code);
  call.console.document(document);
  call.console.text(render_trend_table(document, Console::colour_on_stdout(), Console::width()));
  return code;
}

ExitCode report(Call& call) {
  const auto to = call.arguments.word("--to", {"table", "html"});
  const auto out = call.arguments.text("--out");
  for (const char* flag : {"--to", "--out"}) {
    if (call.console.json() && call.arguments.given(flag))
      throw ArgumentError(flag, "cannot be combined with --format json, which prints the trend itself; leave one out");
  }
  if (out == "") throw ArgumentError("--out", "is empty; give a file or leave the flag out");
  const bool html = to ? *to == "html" : out && (out->ends_with(".html") || out->ends_with(".htm"));
  if (html && !out && isatty(STDOUT_FILENO) != 0)
    throw ArgumentError("--to", "a page of HTML is nothing for a terminal; add --out trend.html and open that");
  if (std::error_code error; out && std::filesystem::equivalent(*out, file_of(call), error))
    throw ArgumentError("--out", "is the history itself, which would be lost; give another file");
  const Json document = trend(call);
  call.console.document(document);
  const std::string text = html  ? render_trend_html(document)
                           : out ? render_trend_table(document, false, 120)
                                 : render_trend_table(document, Console::colour_on_stdout(), Console::width());
  if (!out) {
    call.console.text(text);
    return ExitCode::ok;
  }
  prepare_output_file(*out);
  write_text(*out, text);
  call.console.note((html ? "html " : "table ") + *out);
  return ExitCode::ok;
}

ExitCode run_history(Call& call) {
  static const std::vector<Action> kActions = {
      {"add", {"HISTORY", "RECORD", "--release"}, add},
      {"rebuild", {"HISTORY", "RECORD", "--replace"}, rebuild},
      {"check", {"HISTORY", "--metric", "--against", "--strict"}, check},
      {"report", {"HISTORY", "--metric", "--against", "--to", "--out"}, report}};
  return run_action(call, kActions);
}

}  // namespace

Command history_command() {
  return {
      "history",
      "Follow a benchmark's times from run to run",
      {"add HISTORY RECORD...      appends a line for each case; a record that is there is not added twice",
       "rebuild HISTORY RECORD...  writes the file anew from records or folders of them; releases are kept",
       "check HISTORY              where times stepped, near which commit; whether the newest are slower",
       "report HISTORY             the same as a table, or as a page with plots: --out trend.html",
       "Times of different machines, workloads or builds never join one line. Times fail nothing, unless --strict is "
       "given.",
       "JSON: {\"history\", \"records\", \"lines\"}; of check and report the trend, as harness/track/trend.h has it."},
      {ExitCode::regression, ExitCode::inconclusive, ExitCode::no_baseline, ExitCode::failed},
      declare_history,
      run_history};
}

}  // namespace kvproof::cli
