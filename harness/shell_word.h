// A word of a command line as a shell must read it: for commands that a report offers to be copied.
#pragma once

#include <string>

namespace kvproof {

/// The word itself where no shell would take it apart, else in quotes: double ones around single ones where that suffices.
std::string shell_quoted(const std::string& word);

}  // namespace kvproof
