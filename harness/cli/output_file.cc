#include "harness/cli/output_file.h"

#include <unistd.h>

#include <system_error>

#include "harness/error.h"

namespace kvproof::cli {

void prepare_output_file(const std::filesystem::path& file) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error))
    throw RecordError(file.string(), "is a folder; give the name of a file");
  if (std::filesystem::exists(file, error) && !std::filesystem::is_regular_file(file, error))
    throw RecordError(file.string(), "is a device or a pipe, which cannot be replaced whole; give the name of a file");
  const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  std::filesystem::create_directories(folder, error);
  if (error) throw RecordError(folder.string(), "the folder cannot be made: " + error.message());
  if (access(folder.c_str(), W_OK) != 0) throw RecordError(folder.string(), "the folder cannot be written to");
}

}  // namespace kvproof::cli
