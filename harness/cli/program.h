// The program kvproof: command line in, exit code out. The only place that catches, prints errors and picks exit codes.
#pragma once

namespace kvproof::cli {

/// Runs one command line; argv[0] is the program's name. returns the process's exit code; throws nothing.
int run_program(int argc, const char* const* argv);

}  // namespace kvproof::cli
