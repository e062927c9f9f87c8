// kvproof ci: one step of a CI job: run, verify, compare, report, decide.
#include <fmt/format.h>

#include <filesystem>

#include "harness/cli/ci_artifacts.h"
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

void declare_ci(CLI::App& app) {
  add_config_flags(app);
  add_value(app, "--baseline", "NAME", "What exact metrics are held against; default ci.baseline of the config");
  add_base_flags(app);
  add_toggle(app, "--if-built", "With --base-ref: leave times out where that commit, or a build of it, is not at hand");
  add_toggle(app, "--keep-program",
             "Keep this program, built from a clean commit, where --if-built of later ones finds it");
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
  if (if_built && !call.arguments.given("--base-ref"))
    throw ArgumentError("--if-built", "is about --base-ref; give it too");
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
        bases.left_out =
            fmt::format("times are not compared: there is no build of {} in {}", ref, program_cache().string());
    } catch (const NoBaselineError& error) {
      bases.left_out = fmt::format("times are not compared: {}: {}", error.place(), error.message());
    }
  } else {
    bases.program = read_base(call.arguments, call.console);
  }
  if (const auto candidate = call.arguments.text("--candidate-binary")) require_program(*candidate, *candidate);
  if (!bases.baseline && !bases.program && config.config.ci.floors.empty())
    throw NoBaselineError(
        config.config.file.string(),
        "there is nothing to hold the run against: set ci.baseline, or give --baseline, --base-binary or "
        "--base-ref; kvproof run and kvproof baseline save make a baseline");
  return bases;
}

/// A run that is not verified proves nothing.
void require_verification(const LoadedConfig& config) {
  for (const Case& cell : config.cases) {
    if (cell.run.verify == "off")
      throw ConfigError(config.config.file.string(),
                        fmt::format("case {}: run.verify is off, and ci verifies: expected quick or "
                                    "full; remove the setting",
                                    cell.id));
  }
}

RecordedRun run_cases(Call& call, const LoadedConfig& config, const CiArtifacts& artifacts) {
  RunJournal journal = begin_run(artifacts.file("record.json").string(), config, call.arguments.texts("--set"),
                                 call.words, std::nullopt);
  RecordedRun run = run_and_record(config, journal, std::nullopt, call);
  if (run.not_written) throw RecordError(*run.not_written);
  return run;
}

/// What was run, what was compared, and what is to be said of it.
class Job {
 public:
  Job(Call& call, const LoadedConfig& config, CiArtifacts& artifacts, RecordedRun run)
      : call_(call), config_(config), artifacts_(artifacts), run_(std::move(run)),
        floors_(floors_json(run_.outcome.record, config.config.ci.floors)) {
    call_.console.text(render_table(run_.outcome.record, Console::colour_on_stdout(), Console::width()));
    artifacts_.add("record", "record.json");
    artifacts_.text("page", "record.html", render_html(run_.outcome.record));
    artifacts_.text("JUnit of the run", "junit-run.xml", render_junit(run_.outcome.record));
    find(findings_of_run(run_.outcome.record));
    find(compare::findings_of_floors(floors_));
    find(unchecked_floors(run_.outcome.record, config.config.ci.floors));
  }

  void note(const std::string& text) { find({{"note", ExitCode::ok, text}}); }

  void hold_against(const track::FoundBaseline& baseline) {
    take("baseline", compare_documents({"baseline", baseline.name}, baseline.document, {"record", run_.file.string()},
                                       run_.outcome.record, config_.config.ci.accept));
  }

  /// What keeps the programs from being compared is a finding like others: those before it must not be lost.
  /// returns false: Ctrl-C ended it
  bool hold_against(const BaseProgram& base) {
    const bool informs = call_.arguments.given("--report-times");
    try {
      TimedComparison timed = compare_programs_now(comparison_job(call_, base, config_), call_.console);
      if (timed.interrupted) return false;
      take("base", std::move(timed.document));
    } catch (const Error& error) {
      const ExitCode code = exit_code_of(error);
      find({{informs                         ? "times"
             : code == ExitCode::no_baseline ? "incomparable"
                                             : "error",
             code, fmt::format("{}: {}", error.place(), error.message())}});
    }
    return true;
  }

  ExitCode finish(const std::string& started) {
    const bool strict = call_.arguments.given("--strict");
    const CiVerdict verdict = decide(findings_, config_.config.ci, strict);
    artifacts_.add("summary", "summary.md");
    artifacts_.add("verdict", "ci.json");
    const Json ci = ci_json(verdict, config_, strict, documents_, started, artifacts_.list());
    const std::string summary = summary_of(ci);
    write_text(artifacts_.file("summary.md"), summary);
    write_json(artifacts_.file("ci.json"), ci);
    call_.console.document(ci);
    call_.console.text(render_ci(ci));
    add_to_step_summary(summary, call_.console);
    if (on_github()) call_.console.text(ci_annotations(ci, config_.config.file.string()));
    return verdict.code;
  }

 private:
  void find(std::vector<compare::Finding> findings) {
    for (compare::Finding& each : findings) findings_.push_back(std::move(each));
  }

  void take(const std::string& name, Json document) {
    if (documents_.empty()) document["floors"] = floors_;
    compare::conclude(document);
    call_.console.text("\n" + render_comparison(document, Console::colour_on_stdout(), Console::width()));
    artifacts_.json("comparison, " + name, fmt::format("comparison-{}.json", name), document);
    artifacts_.text("JUnit, " + name, fmt::format("junit-{}.xml", name), render_comparison_junit(document));
    find(compare::findings_of_cases(document));
    std::vector<compare::Finding> times = compare::findings_of_times(document);
    if (call_.arguments.given("--report-times")) {
      for (compare::Finding& each : times) each.kind = "times";  // a word that nothing fails on
    }
    find(std::move(times));
    documents_.push_back(std::move(document));
  }

  /// As much as GitHub takes of one step: the verdict and the comparisons first.
  std::string summary_of(const Json& ci) const {
    std::string text = render_ci_markdown(ci);
    for (const Json& each : documents_) text += "\n" + render_comparison_markdown(each, kSummaryBytes / 4);
    const std::string record = "\n" + render_markdown(run_.outcome.record);
    if (text.size() + record.size() > kSummaryBytes)
      return text + "\nThe run's own report is too long for this page: record.html has it.\n";
    return text + record;
  }

  Call& call_;
  const LoadedConfig& config_;
  CiArtifacts& artifacts_;
  const RecordedRun run_;
  const Json floors_;
  std::vector<compare::Finding> findings_;
  std::vector<Json> documents_;
};

/// The folder, which an own artifact as baseline would be replaced in by each job: then nothing would ever differ from it.
CiArtifacts begin_artifacts(const Call& call, const Bases& bases) {
  const std::string folder = call.arguments.text("--artifacts").value_or("results/runs/ci");
  if (bases.baseline && is_artifact(bases.baseline->file, folder))
    throw ArgumentError("--artifacts", bases.baseline->file.string() +
                                           " is the baseline, and a file that this job writes; give another folder");
  return CiArtifacts(folder);
}

ExitCode run_ci(Call& call) {
  const std::string started = utc_now();
  const LoadedConfig config = read_config_flags(call.arguments);
  require_verification(config);
  const Bases bases = find_bases(call, config);
  CiArtifacts artifacts = begin_artifacts(call, bases);
  RecordedRun measured = run_cases(call, config, artifacts);
  if (measured.outcome.code == ExitCode::interrupted) return measured.outcome.code;

  Job job(call, config, artifacts, std::move(measured));
  if (bases.baseline) job.hold_against(*bases.baseline);
  if (bases.program && !job.hold_against(*bases.program)) return ExitCode::interrupted;
  if (!bases.left_out.empty()) job.note(bases.left_out);
  if (call.arguments.given("--keep-program")) {
    const auto kept = keep_own_program();
    call.console.note(kept ? "program " + kept->string()
                           : "the program is not kept: it was built from changes that were not committed");
  }
  return job.finish(started);
}

}  // namespace

Command ci_command() {
  return {
      "ci",
      "One step of a CI job: run and verify a config, hold it against a baseline and a base program, report, decide",
      {"What is exact is held against the baseline: any change fails, unless ci.accept of the config names it. With "
       "--base-binary or",
       "--base-ref times are compared as kvproof compare does. ci.fail_on says what fails; what can be compared with "
       "nothing always",
       "does, with exit code 4. The artifacts: record, page with plots, comparisons, JUnit, a summary in Markdown, "
       "ci.json.",
       "On GitHub the summary is added to $GITHUB_STEP_SUMMARY and findings are annotations; harness/gate/CI.md shows "
       "a whole set-up.",
       "JSON: ci.json."},
      {ExitCode::regression, ExitCode::inconclusive, ExitCode::no_baseline, ExitCode::disagree, ExitCode::failed,
       ExitCode::interrupted},
      declare_ci,
      run_ci};
}

}  // namespace kvproof::cli
