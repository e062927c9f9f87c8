// kvproof ci: one step of a CI job: run, verify, compare, report, decide.
#include <fmt/format.h>

#include <filesystem>

#include "harness/cli/command.h"
#include "harness/cli/config_flags.h"
#include "harness/cli/github.h"
#include "harness/cli/output_file.h"
#include "harness/cli/recorded_run.h"
#include "harness/cli/run_files.h"
#include "harness/cli/timed_compare.h"
#include "harness/gate/ci.h"
#include "harness/gate/programs.h"
#include "harness/report/comparison/ci_report.h"
#include "harness/report/comparison/junit.h"
#include "harness/report/comparison/markdown.h"
#include "harness/report/comparison/table.h"
#include "harness/report/export/junit.h"
#include "harness/report/export/markdown.h"
#include "harness/report/html/html.h"
#include "harness/report/table.h"
#include "harness/track/baselines.h"

namespace kvproof::cli {
namespace {

namespace fs = std::filesystem;

void declare(CLI::App& app) {
  add_config_flags(app);
  add_value(app, "--baseline", "NAME", "What exact metrics are held against; default ci.baseline of the config");
  add_base_flags(app);
  add_toggle(app, "--if-built", "With --base-ref: leave times out where that commit, or a build of it, is not at hand");
  add_toggle(app, "--keep-program", "Keep this program, built from a clean commit, where --if-built of later ones finds it");
  add_toggle(app, "--report-times", "Tell what comes of times and fail on none of it");
  add_toggle(app, "--strict", "An INCONCLUSIVE time fails, with exit code 3");
  add_value(app, "--artifacts", "FOLDER", "Where records, comparisons and reports go; default results/runs/ci");
}

/// What there is to hold a run against; looked for before anything is measured.
struct Bases {
  std::optional<track::FoundBaseline> baseline;
  std::optional<BaseProgram> program;
  std::string left_out;  // why there is no program though one was named
};

Bases find_bases(const Call& call, const LoadedConfig& config) {
  Bases bases;
  const auto given = call.arguments.text("--baseline");
  if (const auto& name = given ? given : config.config.ci.baseline) bases.baseline = track::find_baseline(*name);
  const bool if_built = call.arguments.given("--if-built");
  if (if_built && !call.arguments.given("--base-ref")) throw ArgumentError("--if-built", "is about --base-ref; give it too");
  if (if_built && call.arguments.given("--base-binary"))
    throw ArgumentError("--base-ref", "cannot be given beside --base-binary; leave one out");
  for (const char* flag : {"--candidate-binary", "--noise"}) {
    if (call.arguments.given(flag) && !call.arguments.given("--base-ref") && !call.arguments.given("--base-binary"))
      throw ArgumentError(flag, "is about two programs; give --base-binary or --base-ref too");
  }
  if (if_built) {
    const std::string ref = *call.arguments.text("--base-ref");
    try {
      if (const auto program = cached_program(find_commit(ref)))
        bases.program = BaseProgram{{"ref", ref}, *program};
      else
        bases.left_out = fmt::format("times are not compared: there is no build of {} in {}", ref, program_cache().string());
    } catch (const NoBaselineError& error) {
      bases.left_out = fmt::format("times are not compared: {}: {}", error.place(), error.message());
    }
  } else {
    bases.program = read_base(call.arguments, call.console);
  }
  if (!bases.baseline && !bases.program && bases.left_out.empty() && config.config.ci.floors.empty())
    throw NoBaselineError(config.config.file.string(),
                          "there is nothing to hold the run against: set ci.baseline, or give --baseline, --base-binary or "
                          "--base-ref; kvproof run and kvproof baseline save make a baseline");
  return bases;
}

/// A run that is not verified proves nothing.
void require_verification(const LoadedConfig& config) {
  for (const Case& cell : config.cases) {
    if (cell.run.verify == "off")
      throw ConfigError(config.config.file.string(), fmt::format("case {}: run.verify is off, and ci verifies: expected quick or "
                                                                 "full; remove the setting",
                                                                 cell.id));
  }
}

/// The folder of the artifacts, and what lies in it.
class Artifacts {
 public:
  explicit Artifacts(const Call& call) : folder_(call.arguments.text("--artifacts").value_or("results/runs/ci")) {
    if (folder_.empty()) throw ArgumentError("--artifacts", "is empty; give a folder or leave the flag out");
  }

  fs::path file(const std::string& name) const { return folder_ / name; }
  void text(const std::string& name, const std::string& file_name, const std::string& content) {
    write_text(file(file_name), content);
    add(name, file(file_name));
  }
  void json(const std::string& name, const std::string& file_name, const Json& document) {
    write_json(file(file_name), document);
    add(name, file(file_name));
  }
  void add(const std::string& name, const fs::path& file) { list_[name] = file.string(); }
  const Json& list() const { return list_; }

 private:
  fs::path folder_;
  Json list_ = Json::object();
};

RecordedRun run_cases(Call& call, const LoadedConfig& config, Artifacts& artifacts) {
  const fs::path record = artifacts.file("record.json");
  // A folder of artifacts is made anew each time: what is left of an earlier job would be read as this one's.
  for (const char* earlier : {"record.json", "record.jsonl", "record.html", "junit-run.xml", "comparison-baseline.json", "junit-baseline.xml",
                              "comparison-base.json", "junit-base.xml", "summary.md", "ci.json"}) {
    std::error_code error;
    fs::remove(artifacts.file(earlier), error);
  }
  RunJournal journal = begin_run(record.string(), config, call.arguments.texts("--set"), call.words, std::nullopt);
  RecordedRun run = run_and_record(config, journal, std::nullopt, call);
  if (run.not_written) throw RecordError(*run.not_written);
  return run;
}

void write_run(const RecordedRun& run, Artifacts& artifacts) {
  artifacts.add("record", artifacts.file("record.json"));
  artifacts.text("page", "record.html", render_html(run.outcome.record));
  artifacts.text("JUnit of the run", "junit-run.xml", render_junit(run.outcome.record));
}

void write_comparison(const std::string& name, const Json& comparison, Artifacts& artifacts) {
  artifacts.json("comparison, " + name, fmt::format("comparison-{}.json", name), comparison);
  artifacts.text("JUnit, " + name, fmt::format("junit-{}.xml", name), render_comparison_junit(comparison));
}

struct Compared {
  std::string name;  // "baseline", "base"
  Json document;
};

/// Absent: Ctrl-C ended it.
std::optional<std::vector<Compared>> compare_all(Call& call, const LoadedConfig& config, const Bases& bases, const RecordedRun& run) {
  std::vector<Compared> all;
  if (bases.baseline) {
    Json document = compare_documents({"baseline", bases.baseline->name}, bases.baseline->document, {"record", run.file.string()},
                                      run.outcome.record, config.config.ci.accept);
    document["floors"] = floors_json(run.outcome.record, config.config.ci.floors);
    compare::conclude(document);
    all.push_back({"baseline", std::move(document)});
  }
  if (!bases.program) return all;
  TimedComparison timed = compare_programs_now(comparison_job(call, *bases.program, config), call.console);
  if (timed.interrupted) return std::nullopt;
  if (all.empty()) {
    timed.document["floors"] = floors_json(run.outcome.record, config.config.ci.floors);
    compare::conclude(timed.document);
  }
  all.push_back({"base", std::move(timed.document)});
  return all;
}

std::string summary_of(const Json& ci, const Json& record, const std::vector<Compared>& compared) {
  std::string text = render_ci_markdown(ci);
  for (const Compared& each : compared) text += "\n" + render_comparison_markdown(each.document, kSummaryBytes / 4);
  return text + "\n" + render_markdown(record);
}

ExitCode run(Call& call) {
  const std::string started = utc_now();
  const LoadedConfig config = read_config_flags(call.arguments);
  require_verification(config);
  Artifacts artifacts(call);
  const Bases bases = find_bases(call, config);
  const bool strict = call.arguments.given("--strict");

  const RecordedRun measured = run_cases(call, config, artifacts);
  if (measured.outcome.code == ExitCode::interrupted) return measured.outcome.code;
  call.console.text(render_table(measured.outcome.record, Console::colour_on_stdout(), Console::width()));
  write_run(measured, artifacts);

  std::vector<compare::Finding> findings = findings_of_run(measured.outcome.record);
  const auto compared = compare_all(call, config, bases, measured);
  if (!compared) return ExitCode::interrupted;
  std::vector<Json> documents;
  for (const Compared& each : *compared) {
    call.console.text("\n" + render_comparison(each.document, Console::colour_on_stdout(), Console::width()));
    write_comparison(each.name, each.document, artifacts);
    for (compare::Finding& finding : compare::findings_without_times(each.document)) findings.push_back(std::move(finding));
    for (compare::Finding& finding : compare::findings_of_times(each.document)) {
      if (call.arguments.given("--report-times")) finding.kind = "times";  // a word that nothing fails on
      findings.push_back(std::move(finding));
    }
    documents.push_back(each.document);
  }
  if (compared->empty()) {
    for (compare::Finding& finding : compare::findings_of_floors(floors_json(measured.outcome.record, config.config.ci.floors)))
      findings.push_back(std::move(finding));
  }
  if (!bases.left_out.empty()) findings.push_back({"note", ExitCode::ok, bases.left_out});
  const CiVerdict verdict = decide(findings, config.config.ci, strict);
  artifacts.add("summary", artifacts.file("summary.md"));
  artifacts.add("verdict", artifacts.file("ci.json"));
  const Json ci = ci_json(verdict, config, strict, documents, started, artifacts.list());
  const std::string summary = summary_of(ci, measured.outcome.record, *compared);
  write_text(artifacts.file("summary.md"), summary);
  write_json(artifacts.file("ci.json"), ci);
  call.console.document(ci);
  call.console.text(render_ci(ci));
  add_to_step_summary(summary, call.console);
  if (call.arguments.given("--keep-program")) {
    const auto kept = keep_own_program();
    call.console.note(kept ? "program " + kept->string() : "the program is not kept: it was built from changes that were not committed");
  }
  if (on_github()) call.console.text(ci_annotations(ci, config.config.file.string()));
  return verdict.code;
}

}  // namespace

Command ci_command() {
  return {"ci",
          "One step of a CI job: run and verify a config, hold it against a baseline and a base program, report, decide",
          {"What is exact is held against the baseline: any change fails, unless ci.accept of the config names it. With --base-binary or",
           "--base-ref times are compared as kvproof compare does. ci.fail_on says what fails; what can be compared with nothing always",
           "does, with exit code 4. The artifacts: record, page with plots, comparisons, JUnit, a summary in Markdown, ci.json.",
           "On GitHub the summary is added to $GITHUB_STEP_SUMMARY and findings are annotations; harness/gate/CI.md shows a whole set-up.",
           "JSON: ci.json."},
          {ExitCode::regression, ExitCode::inconclusive, ExitCode::no_baseline, ExitCode::disagree, ExitCode::failed, ExitCode::interrupted},
          declare,
          run};
}

}  // namespace kvproof::cli
