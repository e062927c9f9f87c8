#include "harness/record/text_file.h"

#include <cmath>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "harness/error.h"

namespace kvproof {
namespace {

// JSON has no such numbers and the writer would turn them into null without a word.
void refuse_below(const Json& node, const std::string& pointer) {
  if (node.is_number_float() && !std::isfinite(node.get<double>())) {
    throw std::logic_error("a record must not hold NaN or Infinity, found at " + pointer);
  }
  if (node.is_object()) {
    for (const auto& [key, value] : node.items()) refuse_below(value, pointer + "/" + key);
  } else if (node.is_array()) {
    for (std::size_t i = 0; i < node.size(); ++i) refuse_below(node[i], pointer + "/" + std::to_string(i));
  }
}

}  // namespace

std::string read_text_file(const std::filesystem::path& file) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    throw RecordError(file.string(), "no such file; kvproof run CONFIG.yaml writes records to results/runs");
  }
  if (std::filesystem::is_directory(status))
    throw RecordError(file.string(), "is a folder; name one of the .json files in it");
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream) throw RecordError(file.string(), "cannot be read; check its permissions");
  return text.str();
}

void refuse_non_finite(const Json& document) { refuse_below(document, ""); }

}  // namespace kvproof
