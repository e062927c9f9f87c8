// What records and journals have in common as files.
#pragma once

#include <filesystem>
#include <string>

#include "harness/record/record.h"

namespace kvproof {

/// All of a file that a run wrote. throws RecordError: no such file, a folder, unreadable; each with the next step
std::string read_text_file(const std::filesystem::path& file);

/// Any JSON document in a file, and whether it is a run's record of this version: read_record in two steps, for those who
/// take documents of other schemas, too. check_record places its errors at `place`.
/// throws RecordError: as read_text_file and read_record
Json read_json(const std::filesystem::path& file);
void check_record(const Json& document, const std::string& place);

/// throws std::logic_error: a number in the document is NaN or infinite, which JSON cannot hold; with its place
void refuse_non_finite(const Json& document);

}  // namespace kvproof
