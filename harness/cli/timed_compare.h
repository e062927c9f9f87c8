// A base program and how it is held against this one: what compare and ci have in common.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/cli/command.h"
#include "harness/config/config.h"
#include "harness/gate/comparison.h"

namespace kvproof::cli {

/// Declares --base-binary, --base-ref, --candidate-binary, --noise.
void add_base_flags(CLI::App& app);

struct BaseProgram {
  Party party;
  std::filesystem::path program;
};

/// The program that the flags name, built where need be; absent: none is named.
/// throws ArgumentError: both are given; NoBaselineError: it is not there, or cannot be built
std::optional<BaseProgram> read_base(const Arguments& arguments, Console& console);

/// What is compared, and with whom.
struct ComparisonJob {
  BaseProgram base;
  Party party;                      // of the candidate
  std::filesystem::path candidate;  // its program
  const LoadedConfig& config;
  std::vector<std::string> sets;
  std::string name;                 // of the journal, below kRunFolder, without its .jsonl
  std::filesystem::path noise;
};

/// "20261122T101500Z-demo-a1b2c3-compare", or with a number behind it where kRunFolder has files of that name.
std::string free_comparison_name(const LoadedConfig& config);

/// Of a config that is on the command line. throws ArgumentError, NoBaselineError: the candidate is no program
ComparisonJob comparison_job(const Call& call, BaseProgram base, const LoadedConfig& config);

struct TimedComparison {
  Json document;  // concluded
  ExitCode code = ExitCode::ok;
  bool interrupted = false;  // then there is no document; the journal holds the blocks
};

/// Measures, judges, and keeps what the control showed. Progress goes to stderr where that is a terminal.
/// throws   what the measurement throws; ArgumentError: a case cannot be timed this way
TimedComparison compare_programs_now(const ComparisonJob& job, Console& console);

}  // namespace kvproof::cli
