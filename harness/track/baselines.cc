#include "harness/track/baselines.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "harness/compare/exact.h"
#include "harness/config/fields.h"
#include "harness/error.h"
#include "harness/record/text_file.h"

namespace kvproof::track {
namespace {

constexpr std::string_view kEnding = ".json";

bool is_path(const std::string& name) { return name.find('/') != std::string::npos || name.ends_with(kEnding); }

bool is_plain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';
}

bool is_there(const std::filesystem::path& file) {
  std::error_code error;
  return std::filesystem::exists(file, error);
}

std::string how_to_make(const std::string& name, const std::filesystem::path& dir) {
  const std::string where = dir == kBaselineFolder ? "" : " --dir " + dir.string();
  return fmt::format("make one: kvproof run CONFIG.yaml --out run.json && kvproof baseline save {} --from run.json{}",
                     name, where);
}

[[noreturn]] void fail_without(const std::string& name, const std::filesystem::path& dir) {
  const std::vector<std::string> names = baseline_names(dir);
  if (names.empty()) {
    throw NoBaselineError(name,
                          fmt::format("no such baseline, as {} holds none; {}", dir.string(), how_to_make(name, dir)));
  }
  const std::string meant = config::did_you_mean(name, names);
  throw NoBaselineError(name, fmt::format("no such baseline in {}{}; there are {}; {}", dir.string(),
                                          meant.empty() ? "" : fmt::format(", did you mean \"{}\"?", meant),
                                          fmt::join(names, ", "), how_to_make(name, dir)));
}

}  // namespace

void check_baseline_name(const std::string& name) {
  const auto fail = [&](const std::string& why) {
    throw ArgumentError("NAME", fmt::format("{}; take letters, digits, '.', '_' and '-', as in main or v1.2", why));
  };
  if (name.empty()) fail("is empty");
  if (!std::all_of(name.begin(), name.end(), is_plain)) fail(fmt::format("\"{}\" is no name of a baseline", name));
  if (name.front() == '.' || name.front() == '-') fail(fmt::format("\"{}\" begins with '{}'", name, name.front()));
  if (name.ends_with(kEnding)) fail(fmt::format("\"{}\" has the ending that its file will get", name));
}

std::filesystem::path baseline_file(const std::string& name, const std::filesystem::path& dir) {
  check_baseline_name(name);
  return dir / (name + std::string(kEnding));
}

std::vector<std::string> baseline_names(const std::filesystem::path& dir) {
  std::vector<std::string> names;
  if (!is_there(dir)) return names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(dir, error), end; !error && at != end; at.increment(error)) {
    const std::string file = at->path().filename().string();
    if (!file.starts_with('.') && at->path().extension() == kEnding) names.push_back(at->path().stem().string());
  }
  if (error) throw RecordError(dir.string(), "the folder of baselines cannot be read: " + error.message());
  std::sort(names.begin(), names.end());
  return names;
}

Json read_baseline(const std::filesystem::path& file) {
  const Json document = read_json(file);
  try {
    compare::baseline_of(document);
  } catch (const RecordError& error) {
    throw RecordError(file.string() + "#" + error.place(), error.message());
  }
  return document;
}

std::filesystem::path existing_baseline(const std::string& name, const std::filesystem::path& dir) {
  const std::filesystem::path file = baseline_file(name, dir);
  if (!is_there(file)) fail_without(name, dir);
  return file;
}

FoundBaseline find_baseline(const std::string& name_or_path, const std::filesystem::path& dir) {
  if (is_path(name_or_path)) {
    if (!is_there(name_or_path)) {
      throw NoBaselineError(
          name_or_path,
          fmt::format("no such file; baselines of a name are in {}: kvproof baseline list", dir.string()));
    }
    return {name_or_path, name_or_path, read_baseline(name_or_path)};
  }
  const std::filesystem::path file = existing_baseline(name_or_path, dir);
  return {name_or_path, file, read_baseline(file)};
}

}  // namespace kvproof::track
