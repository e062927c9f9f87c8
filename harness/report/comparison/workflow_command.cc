#include "harness/report/comparison/workflow_command.h"

#include <fmt/format.h>

#include "harness/report/export/escape.h"

namespace kvproof {
namespace {

std::string escaped(std::string_view text, bool property) {
  std::string result;
  for (const char c : printable(text)) {
    const bool ends = c == '%' || c == '\r' || c == '\n' || (property && (c == ':' || c == ','));
    if (ends)
      result += fmt::format("%{:02X}", static_cast<unsigned>(c));
    else
      result += c;
  }
  return result;
}

}  // namespace

std::string workflow_command(const char* kind, std::string_view file, std::string_view title,
                             std::string_view message) {
  const std::string where = file.empty() ? "" : "file=" + escaped(file, true) + ",";
  return fmt::format("::{} {}title={}::{}\n", kind, where, escaped(title, true), escaped(message, false));
}

}  // namespace kvproof
