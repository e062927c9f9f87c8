// What records and journals have in common as files.
#pragma once

#include <filesystem>
#include <string>

#include "harness/record/record.h"

namespace kvproof {

/// All of a file that a run wrote. throws RecordError: no such file, a folder, unreadable; each with the next step
std::string read_text_file(const std::filesystem::path& file);

/// throws std::logic_error: a number in the document is NaN or infinite, which JSON cannot hold; with its place
void refuse_non_finite(const Json& document);

}  // namespace kvproof
