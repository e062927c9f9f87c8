// kvproof baseline: results to hold others against, by name, in files that can be committed.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "harness/cli/actions.h"
#include "harness/compare/exact.h"
#include "harness/record/record.h"
#include "harness/record/view.h"
#include "harness/report/numbers.h"
#include "harness/report/text.h"
#include "harness/track/baselines.h"
#include "harness/track/fitness.h"

namespace kvproof::cli {
namespace {

using compare::Times;

void declare_baseline(CLI::App& app) {
  add_action(app, "save, list or remove");
  add_positional(app, "NAME", "Of the baseline: letters, digits, '.', '_' and '-'");
  add_value(app, "--from", "RECORD", "save: the record of kvproof run that becomes the baseline");
  add_toggle(app, "--exact", "save: keep no times, so that the file only changes where results do");
  add_toggle(app, "--replace", "save: in place of one of that name");
  add_value(app, "--dir", "DIR", fmt::format("The folder of baselines; default {}", track::kBaselineFolder));
}

std::filesystem::path folder_of(const Call& call) {
  const auto dir = call.arguments.text("--dir");
  if (dir == "") throw ArgumentError("--dir", "is empty; give a folder or leave the flag out");
  return dir.value_or(track::kBaselineFolder);
}

std::string name_of(const Call& call) { return call.arguments.required("NAME", "the baseline's name, such as main"); }

// --- save

struct Made {
  Json baseline;
  std::vector<std::string> warnings;
};

/// throws RecordError: the record is damaged, or unfit for a baseline
Made make_baseline(const std::string& from, Times times) {
  const Json record = read_record(from);
  track::Fitness fitness;
  Made made;
  try {
    fitness = track::fitness_of(record, times);
    if (fitness.fit()) made.baseline = compare::baseline_of(record, times);
  } catch (const RecordError& error) {
    throw RecordError(from + "#" + error.place(), error.message());
  }
  if (!fitness.fit()) {
    const bool exact_fits = times == Times::keep && track::fitness_of(record, Times::leave_out).fit();
    throw RecordError(from, fmt::format("cannot be a baseline: {}{}", fmt::join(fitness.refusals, "; "),
                                        exact_fits ? "; or keep no times, which needs no quiet machine: --exact" : ""));
  }
  made.warnings = std::move(fitness.warnings);
  return made;
}

/// Whether a file of that name says the same of every case: its history in git stays free of changes that are none.
bool is_kept(const std::filesystem::path& file, const Json& baseline) {
  try {
    return track::read_baseline(file)["cases"] == baseline["cases"];
  } catch (const RecordError&) {  // damaged: whoever says --replace wants it replaced
    return false;
  }
}

ExitCode save(Call& call) {
  const std::string name = name_of(call);
  const std::filesystem::path file = track::baseline_file(name, folder_of(call));
  const Times times = call.arguments.given("--exact") ? Times::leave_out : Times::keep;
  const Made made = make_baseline(call.arguments.required("--from", "the record to make it of"), times);
  for (const std::string& warning : made.warnings) call.console.warn(warning);
  const bool there = std::filesystem::exists(file), kept = there && is_kept(file, made.baseline);
  if (there && !kept && !call.arguments.given("--replace")) {
    throw ArgumentError("NAME", fmt::format("{} is there already; see what changed with kvproof compare {} {}, and add "
                                            "--replace to put this one in its place",
                                            file.string(), file.string(), *call.arguments.text("--from")));
  }
  if (!kept) write_json(file, made.baseline);
  const std::size_t cases = made.baseline["cases"].size();
  call.console.document({{"name", name},
                         {"file", file.string()},
                         {"written", !kept},
                         {"cases", cases},
                         {"times", times == Times::keep},
                         {"warnings", made.warnings}});
  call.console.text(fmt::format(
      "baseline {}: {}, {}{}\n", visible(file.string()), counted(static_cast<int64_t>(cases), "case"),
      times == Times::keep ? "with times" : "without times", kept ? "; as it was, for no case changed" : ""));
  return ExitCode::ok;
}

// --- list

Json entry_of(const std::string& name, const std::filesystem::path& file) {
  Json entry = {{"name", name}, {"file", file.string()}};
  try {
    const Json document = compare::baseline_of(track::read_baseline(file));
    const View baseline(document);
    bool times = false;
    for (const View& one : baseline.at("cases").items()) times = times || one.has("times");
    entry["cases"] = baseline.at("cases").items().size();
    entry["times"] = times;
    for (const char* key : {"version", "commit", "dirty"}) entry[key] = baseline.at("kvproof").at(key).json();
    entry["started"] = baseline.at("started").text();
    for (const char* key : {"fingerprint", "cpu_model"}) entry[key] = baseline.at("machine").at(key).json();
  } catch (const RecordError& error) {
    entry = {{"name", name}, {"file", file.string()}, {"error", error.what()}};
  }
  return entry;
}

std::string line_of(const Json& entry) {
  const std::string name = left(visible(entry["name"].get<std::string>()), 16);
  if (entry.contains("error"))
    return fmt::format("{}  damaged: {}\n", name, visible(entry["error"].get<std::string>()));
  const auto text = [&](const char* key) {
    return entry[key].is_string() ? visible(entry[key].get<std::string>()) : "unknown";
  };
  return fmt::format(
      "{}  {}, {}, of {} at {}{}, machine {} ({})\n", name, counted(entry["cases"].get<int64_t>(), "case"),
      entry["times"] == true ? "with times" : "without times", text("started"), text("commit").substr(0, 8),
      entry["dirty"] == true ? "+" : "", text("fingerprint"), text("cpu_model"));
}

ExitCode list(Call& call) {
  const std::filesystem::path dir = folder_of(call);
  Json entries = Json::array();
  std::string text;
  ExitCode code = ExitCode::ok;
  for (const std::string& name : track::baseline_names(dir)) {
    entries.push_back(entry_of(name, dir / (name + ".json")));
    text += line_of(entries.back());
    if (entries.back().contains("error")) code = ExitCode::failed;
  }
  call.console.document({{"dir", dir.string()}, {"baselines", entries}});
  call.console.text(text);
  if (entries.empty())
    call.console.note(
        fmt::format("{} holds no baselines; kvproof baseline save NAME --from RECORD makes one", dir.string()));
  return code;
}

// --- remove

ExitCode remove(Call& call) {
  const std::string name = name_of(call);
  const std::filesystem::path file = track::existing_baseline(name, folder_of(call));
  if (std::error_code error; !std::filesystem::remove(file, error) && error)
    throw RecordError(file.string(), "cannot be removed: " + error.message());
  call.console.document({{"name", name}, {"file", file.string()}, {"removed", true}});
  call.console.note("removed " + file.string());
  return ExitCode::ok;
}

ExitCode run_baseline(Call& call) {
  static const std::vector<Action> kActions = {{"save", {"NAME", "--from", "--exact", "--replace", "--dir"}, save},
                                               {"list", {"--dir"}, list},
                                               {"remove", {"NAME", "--dir"}, remove}};
  return run_action(call, kActions);
}

}  // namespace

Command baseline_command() {
  return {"baseline",
          "Keep a run's results under a name, to hold others against",
          {"save NAME --from RECORD  what must be the same in every run (agreement, tokens, positions computed, bytes "
           "of cache),",
           "                         and times, which need a quiet machine; --exact keeps none, for files that are "
           "committed",
           "list                     what there is", "remove NAME              takes one away",
           "A NAME is the file DIR/NAME.json. One whose cases are the same already is left as it is, to the byte.",
           "JSON: {\"name\", \"file\", \"written\", \"cases\", \"times\", \"warnings\"}; of list {\"dir\", "
           "\"baselines\": [...]}."},
          {ExitCode::no_baseline, ExitCode::failed},
          declare_baseline,
          run_baseline};
}

}  // namespace kvproof::cli
