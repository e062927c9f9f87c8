// Files that a command is told to write.
#pragma once

#include <filesystem>

namespace kvproof::cli {

/// Makes the file's folder, and finds out before the work starts whether its result can be written.
/// throws RecordError: the folder cannot be made or written to; the name is that of a folder, a device, a pipe, or of a
///         link like /dev/stdout
void prepare_output_file(const std::filesystem::path& file);

}  // namespace kvproof::cli
