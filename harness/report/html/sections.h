// The parts of the page that are plain HTML. Inside harness/report/html only; all throw RecordError.
#pragma once

#include <string>

#include "harness/record/view.h"

namespace kvproof {

/// The closing line, what failed and where, and the command to see it again.
std::string verdict_section(const View& record);

/// A group of rows for each case: both paths and the speed-up, each number with its value in the record.
std::string case_table(const View& record);

/// What was compared: models, how they ran, where.
std::string facts_list(const View& record);

/// A section with the fitted growth of the cases that have steps enough for a curve; "" without any.
std::string growth_section(const View& record);

/// What can be unfolded: warnings, verification, machine, build, settings, command.
std::string folded_sections(const View& record);

/// "bad", "doubtful" or "good": the class that colours AGREE, FAIL, INVALID and their like.
std::string class_of(const std::string& verdict);

/// The words of a command, as a shell takes them; safe for a terminal.
std::string command_text(const View& words);

}  // namespace kvproof
