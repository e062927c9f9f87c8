// kvproof compare: two programs, a run and a baseline, or two records.
#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "harness/cli/command.h"
#include "harness/cli/config_flags.h"
#include "harness/cli/github.h"
#include "harness/cli/interrupt.h"
#include "harness/cli/output_file.h"
#include "harness/cli/progress_line.h"
#include "harness/cli/recorded_run.h"
#include "harness/cli/run_files.h"
#include "harness/cli/timed_compare.h"
#include "harness/gate/noise.h"
#include "harness/gate/programs.h"
#include "harness/gate/proof.h"
#include "harness/report/comparison/annotations.h"
#include "harness/report/comparison/table.h"
#include "harness/track/baselines.h"

namespace kvproof::cli {
namespace {

namespace fs = std::filesystem;

void declare_compare(CLI::App& app) {
  add_positionals(app, "FILE", "A config (.yaml), or two documents: records, baselines or one of each, the base first");
  add_list(app, "--set", "A.B=VALUE", "Overrides one value of the config");
  add_base_flags(app);
  add_value(app, "--baseline", "NAME", "Run the config and hold what is exact against a baseline, or a path of one");
  add_value(app, "--out", "FILE",
            fmt::format("Where to write the comparison; default a new file in {}/, of two documents none", kRunFolder));
  add_toggle(app, "--self-test", "Plant slow-downs and a fault, and count which verdicts are given; an hour and more");
  add_value(app, "--log", "FILE", "With --self-test: the JSONL file that gets a line a session, and is gone on with");
  add_value(app, "--sessions", "N", "With --self-test: stop after so many more; 0 only tells what the log says");
}

bool is_config(const std::string& file) { return file.ends_with(".yaml") || file.ends_with(".yml"); }

/// Shows a comparison, and keeps it where it has a file.
ExitCode finish(Call& call, const Json& document, ExitCode code, const std::optional<fs::path>& out) {
  if (out) {
    write_json(*out, document);
    call.console.note("comparison " + out->string());
  }
  call.console.document(document);
  call.console.text(render_comparison(document, Console::colour_on_stdout(), Console::width()));
  if (on_github()) call.console.text(github_annotations(document, call.arguments.texts("FILE").front()));
  return code;
}

/// inputs  of the comparison, which it must not replace
fs::path out_of(const Call& call, const std::string& otherwise, const std::vector<fs::path>& inputs) {
  const auto out = call.arguments.text("--out");
  if (out == "") throw ArgumentError("--out", "is empty; give a file or leave the flag out");
  const fs::path file = out ? fs::path(*out) : fs::path(kRunFolder) / (otherwise + ".json");
  for (const fs::path& input : inputs) {
    if (std::error_code error; fs::equivalent(file, input, error))
      throw ArgumentError("--out", input.string() + " is compared, and would be replaced; give another file");
  }
  prepare_output_file(file);
  return file;
}

ExitCode with_program(Call& call, const BaseProgram& base, const LoadedConfig& config) {
  const ComparisonJob job = comparison_job(call, base, config);
  const fs::path out = out_of(call, job.name, {config.config.file, job.base.program, job.candidate, job.noise});
  const TimedComparison done = compare_programs_now(job, call.console);
  if (done.interrupted) return ExitCode::interrupted;
  return finish(call, done.document, done.code, out);
}

ExitCode with_baseline(Call& call, const std::string& name, const LoadedConfig& config) {
  const track::FoundBaseline baseline = track::find_baseline(name);
  const fs::path out = out_of(call, free_comparison_name(config), {config.config.file, baseline.file});
  RunJournal journal = begin_run({}, config, call.arguments.texts("--set"), call.words, std::nullopt);
  const RecordedRun run = run_and_record(config, journal, std::nullopt, call);
  if (run.not_written) throw RecordError(*run.not_written);
  if (run.outcome.code == ExitCode::interrupted) return run.outcome.code;
  Json document = compare_documents({"baseline", baseline.name}, baseline.document, {"record", run.file.string()},
                                    run.outcome.record, config.config.ci.accept);
  const ExitCode code = compare::conclude(document);
  return finish(call, document, worse(code, run.outcome.code), out);
}

ExitCode two_documents(Call& call, const std::vector<std::string>& files) {
  for (const char* flag : {"--set", "--base-binary", "--base-ref", "--candidate-binary", "--baseline", "--noise",
                           "--self-test", "--log", "--sessions"}) {
    if (call.arguments.given(flag))
      throw ArgumentError(flag, "is for a config; two documents are compared as they are");
  }
  const auto party = [](const std::string& file, const Json& document) {
    return Party{document.at("schema").at("name") == compare::kBaselineSchema ? "baseline" : "record", file};
  };
  const Json base = track::read_baseline(files[0]), candidate = track::read_baseline(files[1]);
  Json document = compare_documents(party(files[0], base), base, party(files[1], candidate), candidate, {});
  const ExitCode code = compare::conclude(document);
  std::optional<fs::path> out;
  if (call.arguments.given("--out")) out = out_of(call, "", {files[0], files[1]});
  return finish(call, document, code, out);
}

/// Sessions with something planted, until the plan is done or somebody ends it.
ExitCode self_test(Call& call, const std::string& file) {
  for (const char* flag : {"--base-binary", "--base-ref", "--candidate-binary", "--baseline", "--noise", "--out"}) {
    if (call.arguments.given(flag))
      throw ArgumentError(flag, "cannot be given beside --self-test: this program is held against itself");
  }
  ProofOptions options;
  options.program = own_program();
  options.log = call.arguments.required("--log", "the JSONL file of the sessions");
  options.most_sessions = call.arguments.integer("--sessions", 0, 1'000'000).value_or(options.most_sessions);
  options.sets = call.arguments.texts("--set");
  const LoadedConfig config = load_config(file, options.sets);
  ProgressLine line;
  options.listener = [&line](const std::string& what) {
    line.show(what);
    return !InterruptGuard::raised();
  };
  const InterruptGuard guard(/*second_ends=*/true);
  if (options.most_sessions > 0) prove_comparison(config, options);
  line.clear();
  const Json summary = summarize_proof(Journal::read(options.log));
  call.console.document(summary);
  call.console.text(proof_text(summary));
  if (InterruptGuard::raised()) return ExitCode::interrupted;
  if (!summary.at("holds").get<bool>()) return ExitCode::regression;
  return summary.at("complete").get<bool>() ? ExitCode::ok : ExitCode::inconclusive;
}

ExitCode run_compare(Call& call) {
  const std::vector<std::string> files = call.arguments.texts("FILE");
  if (files.empty()) throw ArgumentError("FILE", "is missing: give a config and a base, or two records");
  if (files.size() == 2 && !is_config(files[0]) && !is_config(files[1])) return two_documents(call, files);
  if (files.size() != 1)
    throw ArgumentError("FILE", fmt::format("expected one config or two documents, found {} files", files.size()));
  if (!is_config(files[0]))
    throw ArgumentError("FILE",
                        files[0] + " is one document; give the one to hold it against, too, or a config (.yaml)");
  if (call.arguments.given("--self-test")) return self_test(call, files[0]);
  for (const char* flag : {"--log", "--sessions"}) {
    if (call.arguments.given(flag)) throw ArgumentError(flag, "is for --self-test; give it too");
  }
  const auto baseline = call.arguments.text("--baseline");
  const int bases = call.arguments.given("--base-binary") + call.arguments.given("--base-ref") + baseline.has_value();
  if (bases != 1)
    throw ArgumentError("--base-binary", fmt::format("give one of --base-binary, --base-ref and --baseline, found {}",
                                                     bases == 0 ? "none" : "several"));
  for (const char* flag : {"--candidate-binary", "--noise"}) {
    if (baseline && call.arguments.given(flag))
      throw ArgumentError(flag, "is about two programs; --baseline holds this one's run against a file");
  }
  const LoadedConfig config = load_config(files[0], call.arguments.texts("--set"));
  if (baseline) return with_baseline(call, *baseline, config);
  return with_program(call, *read_base(call.arguments, call.console), config);
}

}  // namespace

Command compare_command() {
  return {"compare",
          "Hold this program against another one, a run against a baseline, or two records against each other",
          {"With a program as base the cases of the config are timed in fresh pairs of processes that take turns, and "
           "their tokens and",
           "counts are compared. compare: in the config says how much is measured. CPU time of one thread gates: a "
           "slow-down counts once",
           "it is surely there, larger than this machine's noise, found again by a second session, and not shown by "
           "the base and its own",
           "copy as well. Of two documents the exact values are judged; their times are told and decide nothing.",
           "--self-test exits 1 where a claim does not hold, 3 while sessions are missing.",
           "JSON: the comparison, as harness/compare/document.h and results/comparison.schema.json have it."},
          {ExitCode::regression, ExitCode::inconclusive, ExitCode::no_baseline, ExitCode::disagree, ExitCode::failed,
           ExitCode::interrupted},
          declare_compare,
          run_compare};
}

}  // namespace kvproof::cli
