#include "harness/cli/ci_artifacts.h"

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include "harness/error.h"
#include "harness/gate/ci.h"
#include "harness/machine/machine.h"
#include "harness/record/journal.h"
#include "harness/record/text_file.h"

namespace kvproof::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::array kNames = {"record.json",          "record.jsonl",       "record.html",
                               "junit-run.xml",        "junit-baseline.xml", "junit-base.xml",
                               "comparison-base.json", "summary.md",         "comparison-baseline.json"};
constexpr const char* kVerdict = "ci.json";

bool is_verdict(const fs::path& file) {
  try {
    const Json document = read_json(file);
    return document.is_object() && document.contains("schema") && document["schema"].is_object() &&
           document["schema"].value("name", "") == kCiSchema;
  } catch (const RecordError&) {
    return false;
  }
}

}  // namespace

bool is_artifact(const fs::path& file, const fs::path& folder) {
  const auto same = [&](const char* name) {
    std::error_code error;
    return fs::equivalent(folder / name, file, error);
  };
  return std::any_of(kNames.begin(), kNames.end(), same) || same(kVerdict);
}

CiArtifacts::CiArtifacts(fs::path folder) : folder_(std::move(folder)) {
  if (folder_.empty()) throw ArgumentError("--artifacts", "is empty; give a folder or leave the flag out");
  const bool ours = is_verdict(file(kVerdict));
  for (const char* name : kNames) {
    if (!ours && fs::exists(file(name)))
      throw ArgumentError(
          "--artifacts",
          file(name).string() + " is there, and no kvproof ci wrote it, which would replace it; give another folder");
  }
  if (!ours && fs::exists(file(kVerdict)))
    throw ArgumentError("--artifacts",
                        file(kVerdict).string() + " is there and is no verdict of kvproof ci; give another folder");
  if (fs::exists(file("record.jsonl"))) Journal::open(file("record.jsonl"));  // throws where another job writes it
  write_json(
      file(kVerdict),
      {{"schema", {{"name", kCiSchema}, {"version", kCiVersion}}}, {"started", utc_now()}, {"exit_code", nullptr}});
  std::error_code error;
  for (const char* name : kNames) fs::remove(file(name), error);
}

void CiArtifacts::text(const std::string& name, const std::string& file_name, const std::string& content) {
  write_text(file(file_name), content);
  add(name, file_name);
}

void CiArtifacts::json(const std::string& name, const std::string& file_name, const Json& document) {
  write_json(file(file_name), document);
  add(name, file_name);
}

}  // namespace kvproof::cli
