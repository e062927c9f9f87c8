// GitHub's workflow commands, as a step writes them to its log.
#pragma once

#include <string>
#include <string_view>

namespace kvproof {

/// "::error file=…,title=…::…" and a line end; whatever the texts hold, it is one line and one command.
/// kind    error | warning | notice
/// file    relative to the repository; empty: none
/// source  the runner undoes %25, %0D, %0A, and in properties %3A, %2C (actions/toolkit, packages/core/src/command.ts)
std::string workflow_command(const char* kind, std::string_view file, std::string_view title, std::string_view message);

}  // namespace kvproof
