#include "harness/record/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
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

/// The bytes up to the last line end. Sets end to their number.
std::vector<Json> finished_lines(const std::filesystem::path& file, int64_t* end) {
  const std::string text = read_text_file(file);
  const std::size_t last = text.find_last_of('\n');
  *end = last == std::string::npos ? 0 : static_cast<int64_t>(last) + 1;
  std::vector<Json> lines;
  for (auto begin = text.begin(), stop = begin + *end; begin != stop;) {
    const auto line_end = std::find(begin, stop, '\n');
    try {
      lines.push_back(Json::parse(begin, line_end));
    } catch (const Json::parse_error&) {
      throw RecordError(fmt::format("{}:{}", file.string(), lines.size() + 1),
                        "expected a JSON document in each line, as in the .jsonl file beside a run's record; this is another "
                        "file, or was changed by something else");
    }
    begin = line_end + 1;
  }
  return lines;
}

/// Until the descriptor is closed.
void lock(int descriptor, const std::filesystem::path& file) {
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return;
  if (errno == EWOULDBLOCK)
    throw RecordError(file.string(), "is being written by another process; wait for its end, or end it");
  fail(file, "cannot be locked", errno);
}

}  // namespace

Journal Journal::create(const std::filesystem::path& file) {
  if (std::error_code error; file.has_parent_path()) {
    std::filesystem::create_directories(file.parent_path(), error);
    if (error) fail(file, "its folder cannot be made", error.value());
  }
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) fail(file, "cannot be made", errno);
  Journal journal(file, descriptor);
  journal.created_ = true;
  lock(descriptor, file);
  return journal;
}

Journal Journal::open(const std::filesystem::path& file) {
  if (std::error_code error; !std::filesystem::exists(file, error)) read(file);  // says that there is none
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) fail(file, "cannot be written", errno);
  Journal journal(file, descriptor);
  lock(descriptor, file);
  journal.lines_ = finished_lines(file, &journal.end_);
  return journal;
}

std::vector<Json> Journal::read(const std::filesystem::path& file) {
  int64_t end = 0;
  return finished_lines(file, &end);
}

Journal::Journal(Journal&& other) noexcept
    : file_(std::move(other.file_)), lines_(std::move(other.lines_)),
      descriptor_(std::exchange(other.descriptor_, -1)), end_(other.end_), created_(other.created_) {}

Journal::~Journal() {
  if (descriptor_ < 0) return;
  if (created_ && end_ == 0) unlink(file_.c_str());
  close(descriptor_);
}

void Journal::append(const Json& line) {
  refuse_non_finite(line);
  const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  if (ftruncate(descriptor_, end_) != 0) fail(file_, "an unfinished line cannot be cut off", errno);
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t count = pwrite(descriptor_, text.data() + done, text.size() - done, end_ + static_cast<off_t>(done));
    if (count < 0 && errno != EINTR) {
      const int why = errno;
      if (ftruncate(descriptor_, end_) != 0) fail(file_, "a line cannot be finished, nor be cut off", errno);
      fail(file_, "cannot be written", why);
    }
    if (count > 0) done += static_cast<std::size_t>(count);
  }
  end_ += static_cast<int64_t>(text.size());
}

}  // namespace kvproof
