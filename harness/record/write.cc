#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "harness/error.h"
#include "harness/record/record.h"
#include "harness/record/text_file.h"

namespace kvproof {
namespace {

[[noreturn]] void fail_whole(const std::filesystem::path& file, const std::string& what, int why) {
  throw RecordError(file.string(), what + ": " + std::strerror(why) + "; nothing was written");
}

// A file beside the target that holds all of the text and has reached the disk. Gone at the end of its life.
class WholeFile {
 public:
  WholeFile(const std::filesystem::path& target, const std::string& text)
      : target_(target),
        path_(target.parent_path() / fmt::format(".{}.{}.part", target.filename().string(), getpid())) {
    if (std::error_code error; std::filesystem::create_directories(target.parent_path(), error), error) {
      fail_whole(target, "its folder cannot be made", error.value());
    }
    const int file = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) fail_whole(target, "cannot be written", errno);
    const int why = write_all(file, text);
    close(file);
    if (why != 0) {
      unlink(path_.c_str());
      fail_whole(target, "cannot be written", why);
    }
  }
  ~WholeFile() { unlink(path_.c_str()); }
  WholeFile(const WholeFile&) = delete;
  WholeFile& operator=(const WholeFile&) = delete;

  void replace_target() const {
    if (rename(path_.c_str(), target_.c_str()) != 0) fail_whole(target_, "cannot be put in place", errno);
    sync_folder();
  }

 private:
  static int write_all(int file, const std::string& text) {
    for (std::size_t done = 0; done < text.size();) {
      const ssize_t count = write(file, text.data() + done, text.size() - done);
      if (count < 0 && errno != EINTR) return errno;
      if (count > 0) done += static_cast<std::size_t>(count);
    }
    return fsync(file) == 0 ? 0 : errno;
  }

  // The new name survives a power cut, where the file system can promise that.
  void sync_folder() const {
    const int folder = open(target_.parent_path().c_str(), O_RDONLY | O_CLOEXEC);
    if (folder < 0) return;
    fsync(folder);
    close(folder);
  }

  std::filesystem::path target_, path_;
};

std::filesystem::path full_path(const std::filesystem::path& file) {
  std::error_code error;
  auto result = std::filesystem::absolute(file, error);
  return error ? file : result;
}

std::string text_of(const Json& document) {
  refuse_non_finite(document);
  return document.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string run_name(std::string_view started, std::string_view config_stem, std::string_view config_hash) {
  std::string name;
  for (const char c : started) {
    if (c != '-' && c != ':') name += c;
  }
  name += '-';
  for (const char c : config_stem) {
    const bool plain =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
    name += plain || static_cast<unsigned char>(c) >= 0x80 ? c : '-';
  }
  return name + "-" + std::string(config_hash.substr(0, 6));
}

void write_json(const std::filesystem::path& file, const Json& document) { write_text(file, text_of(document)); }

void write_text(const std::filesystem::path& file, const std::string& text) {
  WholeFile(full_path(file), text).replace_target();
}

}  // namespace kvproof
