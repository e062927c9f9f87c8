// Commands that do several things: kvproof baseline save, kvproof history check.
#pragma once

#include <string>
#include <vector>

#include "harness/cli/command.h"

namespace kvproof::cli {

struct Action {
  std::string name;
  std::vector<std::string> takes;  // of the command's words and flags, beside ACTION: "NAME", "--from"
  ExitCode (*run)(Call& call);
};

/// Declares ACTION, the command's first word.
void add_action(CLI::App& app, const std::string& help);

/// Runs the one that ACTION names.
/// throws ArgumentError: ACTION is missing or none of them; a word or flag was given that is for others of them
ExitCode run_action(Call& call, const std::vector<Action>& actions);

}  // namespace kvproof::cli
