#include "harness/cli/progress_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "harness/cli/console.h"

namespace kvproof::cli {
namespace {

/// The first bytes of a line, whole characters only.
std::string shortened(const std::string& line, int bytes) {
  const auto is_continuation = [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; };
  auto end = std::min(line.size(), static_cast<std::size_t>(std::max(1, bytes)));
  while (end > 0 && end < line.size() && is_continuation(line[end])) --end;
  return line.substr(0, end);
}

}  // namespace

void ProgressLine::show(const std::string& line) {
  if (!Console::stderr_is_terminal()) return;
  fmt::print(stderr, "\r\033[K{}", shortened(line, Console::stderr_width() - 1));
  std::fflush(stderr);
  shown_ = true;
}

void ProgressLine::clear() {
  if (!shown_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace kvproof::cli
