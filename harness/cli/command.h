// One command of the program: a name, its flags, what it does.
#pragma once

#include <string>
#include <vector>

#include "harness/cli/arguments.h"
#include "harness/cli/console.h"

namespace kvproof::cli {

/// What a command was called with.
struct Call {
  Arguments arguments;
  Console& console;
  std::vector<std::string> words;  // the whole command line, as typed
};

struct Command {
  std::string name;
  std::string summary;               // one sentence
  std::vector<std::string> notes;    // more lines of help; may be empty
  std::vector<ExitCode> exit_codes;  // beside 0, 2 and 70, which every command has
  void (*declare)(CLI::App& app);
  ExitCode (*run)(Call& call);
};

/// All commands, in the order of the help.
const std::vector<Command>& commands();

// One file each: cmd_<name>.cc.
Command run_command();
Command plan_command();
Command merge_command();
Command init_command();
Command verify_command();
Command compare_command();
Command ci_command();
Command report_command();
Command baseline_command();
Command history_command();
Command generate_command();
Command chat_command();
Command tokenize_command();
Command detokenize_command();
Command logits_command();
Command inspect_command();
Command machine_command();
Command synthesize_command();
Command subject_command();

}  // namespace kvproof::cli
