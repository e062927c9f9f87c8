#include "harness/cli/github.h"

#include <cstdlib>
#include <fstream>

namespace kvproof::cli {
namespace {

/// Empty where it is not set.
std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

bool on_github() { return environment("GITHUB_ACTIONS") == "true"; }

void add_to_step_summary(const std::string& markdown, Console& console) {
  const std::string file = environment("GITHUB_STEP_SUMMARY");
  if (file.empty()) return;
  std::ofstream out(file, std::ios::app);
  out << markdown;
  if (!out.flush()) console.warn("$GITHUB_STEP_SUMMARY: " + file + " cannot be written; the summary is not there");
}

}  // namespace kvproof::cli
