#include "harness/record/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "harness/error.h"
#include "harness/record/text_file.h"

namespace kvproof {
namespace {

[[noreturn]] void fail(const std::filesystem::path& file, const std::string& what, int why) {
  throw RecordError(file.string(), what + ": " + std::strerror(why));
}

}  // namespace

Journal Journal::create(const std::filesystem::path& file) {
  if (std::error_code error; file.has_parent_path()) {
    std::filesystem::create_directories(file.parent_path(), error);
    if (error) fail(file, "its folder cannot be made", error.value());
  }
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor < 0) fail(file, "cannot be made", errno);
  return {file, descriptor};
}

Journal Journal::open(const std::filesystem::path& file) {
  const std::string text = read_text_file(file);
  const std::size_t end = text.find_last_of('\n') == std::string::npos ? 0 : text.find_last_of('\n') + 1;
  std::vector<Json> lines;
  for (std::size_t begin = 0; begin < end;) {
    const std::size_t stop = text.find('\n', begin);
    try {
      lines.push_back(Json::parse(text.begin() + static_cast<std::ptrdiff_t>(begin),
                                  text.begin() + static_cast<std::ptrdiff_t>(stop)));
    } catch (const Json::parse_error&) {
      throw RecordError(fmt::format("{}:{}", file.string(), lines.size() + 1),
                        "expected a JSON document in each line; the file was changed by something else");
    }
    begin = stop + 1;
  }
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (descriptor < 0) fail(file, "cannot be written", errno);
  Journal journal(file, descriptor);
  if (end < text.size() && ftruncate(descriptor, static_cast<off_t>(end)) != 0)
    fail(file, "its unfinished last line cannot be cut off", errno);
  journal.lines_ = std::move(lines);
  return journal;
}

Journal::Journal(Journal&& other) noexcept
    : file_(std::move(other.file_)), lines_(std::move(other.lines_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

Journal::~Journal() {
  if (descriptor_ >= 0) close(descriptor_);
}

void Journal::append(const Json& line) {
  refuse_non_finite(line);
  const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t count = write(descriptor_, text.data() + done, text.size() - done);
    if (count < 0 && errno != EINTR) fail(file_, "cannot be written", errno);
    if (count > 0) done += static_cast<std::size_t>(count);
  }
}

}  // namespace kvproof
