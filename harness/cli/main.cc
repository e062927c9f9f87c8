#include "harness/cli/program.h"

int main(int argc, char** argv) { return kvproof::cli::run_program(argc, argv); }
