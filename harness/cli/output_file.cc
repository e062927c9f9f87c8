#include "harness/cli/output_file.h"

#include <unistd.h>

#include <iterator>
#include <system_error>

#include "harness/error.h"
#include "harness/measure/run_journal.h"

namespace kvproof::cli {
namespace {

/// /dev/stdout and its like are links, now and then to an ordinary file: replaced, they would be broken for everybody.
bool is_link_of_the_system(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::is_symlink(file, error)) return false;
  const auto folder = std::filesystem::canonical(std::filesystem::absolute(file, error).parent_path(), error);
  const auto top = std::distance(folder.begin(), folder.end()) > 1 ? *std::next(folder.begin()) : folder;
  return top == "dev" || top == "proc";
}

}  // namespace

void prepare_output_file(const std::filesystem::path& file) {
  std::error_code error;
  if (file == "-")
    throw RecordError("-", "is no name of a file here; leave the flag out, and send stdout where it shall go with >");
  if (file.extension() == ".jsonl" && RunJournal::kind_of(file) == RunJournal::Kind::unfinished)
    throw RecordError(file.string(), "holds a run that goes on or was cut off, and would be lost; give another name");
  if (std::filesystem::is_directory(file, error))
    throw RecordError(file.string(), "is a folder; give the name of a file");
  const bool other = std::filesystem::exists(file, error) && !std::filesystem::is_regular_file(file, error);
  if (other || is_link_of_the_system(file))
    throw RecordError(file.string(), "is a device or a pipe, which cannot be replaced whole; give the name of a file");
  const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  std::filesystem::create_directories(folder, error);
  if (error) throw RecordError(folder.string(), "the folder cannot be made: " + error.message());
  if (access(folder.c_str(), W_OK) != 0) throw RecordError(folder.string(), "the folder cannot be written to");
}

}  // namespace kvproof::cli
