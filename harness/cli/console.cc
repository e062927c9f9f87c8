#include "harness/cli/console.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace kvproof::cli {
namespace {

constexpr std::string_view kDim = "\033[2m", kYellow = "\033[33m", kRed = "\033[31m", kReset = "\033[0m";

bool colour_wanted() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return (no_color == nullptr || *no_color == '\0') && (term == nullptr || std::strcmp(term, "dumb") != 0);
}

int columns_of(int terminal, int otherwise) {
  winsize size{};
  return ioctl(terminal, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : otherwise;
}

void write_line(std::string_view colour, std::string_view prefix, std::string_view line) {
  const bool coloured = Console::colour_on_stderr();
  const auto text =
      coloured ? fmt::format("{}{}{}{}\n", colour, prefix, line, kReset) : fmt::format("{}{}\n", prefix, line);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace

nlohmann::ordered_json error_json(const std::string& kind, const std::string& place, const std::string& message,
                                  ExitCode code) {
  return {{"kind", kind}, {"message", message}, {"place", place}, {"exit_code", static_cast<int>(code)}};
}

bool Console::interactive() { return isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0; }
bool Console::colour_on_stdout() { return isatty(STDOUT_FILENO) != 0 && colour_wanted(); }
bool Console::colour_on_stderr() { return isatty(STDERR_FILENO) != 0 && colour_wanted(); }
bool Console::stderr_is_terminal() { return isatty(STDERR_FILENO) != 0; }

int Console::width(int otherwise) { return columns_of(STDOUT_FILENO, otherwise); }
int Console::stderr_width(int otherwise) { return columns_of(STDERR_FILENO, otherwise); }

void Console::write(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    if (lost_ == 0) lost_ = errno;
  }
}

void Console::text(std::string_view text) {
  if (!json_) write(text);
}

void Console::document(const nlohmann::ordered_json& document) {
  if (!json_) return;
  document_written_ = true;
  // Paths and arguments may hold bytes that are not UTF-8; the document must stay JSON.
  write(document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

void Console::note(std::string_view line) { write_line(kDim, "", line); }
void Console::warn(std::string_view line) { write_line(kYellow, "warning: ", line); }

void Console::failure(const std::string& kind, const std::string& place, const std::string& message, ExitCode code) {
  write_line(kRed, "error: ", place.empty() ? message : place + ": " + message);
  if (json_ && !document_written_) document({{"error", error_json(kind, place, message, code)}});
}

void Console::complaint(const Error& error) { write_line(kRed, "error: ", error.what()); }

void Console::finish() {
  if (lost_ != 0) throw RecordError("stdout", fmt::format("the output could not be written: {}", std::strerror(lost_)));
}

}  // namespace kvproof::cli
