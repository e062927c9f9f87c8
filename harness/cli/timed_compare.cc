#include "harness/cli/timed_compare.h"

#include <fmt/format.h>

#include "harness/cli/interrupt.h"
#include "harness/cli/progress_line.h"
#include "harness/cli/run_files.h"
#include "harness/gate/noise.h"
#include "harness/gate/programs.h"
#include "harness/measure/paired/epoch_source.h"
#include "harness/measure/probe.h"

namespace kvproof::cli {
namespace {

PairedListener show_on(ProgressLine& line) {
  return [&line](const PairedProgress& at) {
    if (at.stage != "start") line.show(fmt::format("[block {}/{}] {}: {}", at.block + 1, at.blocks, at.id, at.stage));
    return !InterruptGuard::raised();
  };
}

/// What the control showed is worth keeping, but no reason to lose what was measured.
void keep_noise(const std::filesystem::path& file, const std::string& started, const TimingOutcome& outcome,
                Console& console) {
  try {
    add_noise(file, started, std::ssize(outcome.first.blocks), outcome.aa_effects());
  } catch (const RecordError& error) {
    console.warn(fmt::format("{}: {}; what the control showed is not kept", error.place(), error.message()));
  }
}

/// Ctrl-C ends the build, and what it was built in goes: the cache holds whole programs.
std::filesystem::path built_program(const std::string& ref, Console& console) {
  const Commit commit = find_commit(ref);
  const InterruptGuard guard(/*second_ends=*/true);
  std::filesystem::path program;
  try {
    program = program_of(commit, [&](const std::string& what) { console.note(what); });
  } catch (const NoBaselineError&) {
    if (!InterruptGuard::raised()) throw;
  }
  if (InterruptGuard::raised()) throw Error("interrupted", ref, "its build was interrupted; the next call begins it anew");
  return program;
}

}  // namespace

void add_base_flags(CLI::App& app) {
  add_value(app, "--base-binary", "PROGRAM", "A kvproof built from the base: both are timed, in turns");
  add_value(app, "--base-ref", "GIT", "A commit of this repository, which is built once and kept: likewise");
  add_value(app, "--candidate-binary", "PROGRAM", "The program in question; default this one");
  add_value(app, "--noise", "FILE",
            fmt::format("What identical programs showed on this machine, for the margin; default {}", kNoiseFile));
}

std::optional<BaseProgram> read_base(const Arguments& arguments, Console& console) {
  const auto binary = arguments.text("--base-binary"), ref = arguments.text("--base-ref");
  if (binary && ref) throw ArgumentError("--base-ref", "cannot be given beside --base-binary; leave one out");
  if (binary) {
    require_program(*binary, *binary);
    return BaseProgram{{"binary", *binary}, std::filesystem::absolute(*binary)};
  }
  if (!ref) return std::nullopt;
  return BaseProgram{{"ref", *ref}, built_program(*ref, console)};
}

std::string free_comparison_name(const LoadedConfig& config) {
  const std::string name = run_name(utc_now(), config.config.file.stem().string(), config.hash) + "-compare";
  std::string free = name;
  const auto taken = [&](const char* extension) {
    return std::filesystem::exists(std::filesystem::path(kRunFolder) / (free + extension));
  };
  for (int number = 2; taken(".jsonl") || taken(".json"); ++number) free = fmt::format("{}-{}", name, number);
  return free;
}

ComparisonJob comparison_job(const Call& call, BaseProgram base, const LoadedConfig& config) {
  const auto candidate = call.arguments.text("--candidate-binary");
  if (candidate) require_program(*candidate, *candidate);
  return {std::move(base),
          {"binary", candidate.value_or("this program")},
          candidate ? std::filesystem::absolute(*candidate) : own_program(),
          config,
          call.arguments.texts("--set"),
          free_comparison_name(config),
          call.arguments.text("--noise").value_or(kNoiseFile)};
}

TimedComparison compare_programs_now(const ComparisonJob& job, Console& console) {
  make_epoch_source(job.config);  // what cannot be timed at all is told here, as the config's fault
  const std::string started = utc_now();
  const InterruptGuard guard(/*second_ends=*/true);  // before the copy, which would outlive a program that is killed
  const ProgramCopy copy(job.base.program);
  TimingSpec spec;
  const auto command = [&](const std::filesystem::path& program) {
    return measure_command(program.string(), std::filesystem::absolute(job.config.config.file).string(), job.sets);
  };
  spec.start = starter_of(command(job.base.program), command(job.candidate), command(copy.file()));
  spec.cases = cases_to_time(job.config);
  spec.compare = job.config.config.compare;
  spec.recorded = read_noise(job.noise);
  const std::filesystem::path file = std::filesystem::path(kRunFolder) / (job.name + ".jsonl");
  Journal journal = Journal::create(file);
  MachineProbe probe;
  const int64_t begin = probe.now_ns();
  ProgressLine line;
  const TimingOutcome outcome = run_timing_gate(spec, &journal, show_on(line));
  line.clear();
  if (outcome.interrupted) {
    console.note(std::filesystem::file_size(file) == 0 ? "interrupted before anything was measured"
                                                       : "interrupted; the blocks that were measured are in " + file.string());
    return {Json(), ExitCode::interrupted, true};
  }
  keep_noise(job.noise, started, outcome, console);
  TimedComparison result;
  result.document =
      compare_programs(job.base.party, job.party, job.config, outcome, started,
                       1e-9 * static_cast<double>(probe.now_ns() - begin), file, job.config.config.ci.accept);
  result.code = compare::conclude(result.document);
  return result;
}

}  // namespace kvproof::cli
