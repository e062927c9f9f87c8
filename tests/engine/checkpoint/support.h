// Files to break, and the faults they cause as text.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "engine/error.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

namespace kvproof::testing {

inline std::string read_bytes(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  REQUIRE(in.is_open());
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::filesystem::path write_bytes(const std::filesystem::path& file, std::string_view bytes) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << bytes;
  return file;
}

/// "kind| what()" of the Error that f throws, "no error" if it throws none. `folder` is cut out of the text.
template <class F>
std::string fault_of(const F& f, const std::filesystem::path& folder = {}) {
  try {
    f();
  } catch (const Error& error) {
    std::string text = error.kind() + "| " + error.what();
    const std::string prefix = folder.string() + "/";
    for (size_t at; prefix.size() > 1 && (at = text.find(prefix)) != std::string::npos;) text.erase(at, prefix.size());
    return text;
  }
  return "no error";
}

inline std::string data_path(const std::string& name) { return source_path("tests/data/checkpoint/" + name); }
inline std::string generation_path(const std::string& name) { return source_path("harness/verify/vectors/generations/" + name); }

}  // namespace kvproof::testing
