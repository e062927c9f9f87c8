// Records as shards and kvproof merge leave them, made of the sample.
#pragma once

#include <algorithm>
#include <string>

#include "harness/record/record.h"
#include "tests/support/catch.h"

namespace kvproof::testing {

inline Json sample_record() { return read_record(source_path("tests/data/record/sample.json")); }

/// As kvproof merge leaves it: the second and the last case ran on another machine.
inline Json of_two_machines() {
  Json record = sample_record();
  Json other = record["machine"];
  other["cpu_model"] = "Other CPU";
  other["cores"] = 96;
  other["fingerprint"] = "0123456789abcdef";
  for (Json& gemm : other["peaks"][0]["gemm"]) gemm["flops_per_s"] = 7.5e15;
  record["machines"] = {record["machine"], other};
  for (std::size_t i = 0; i < record["cases"].size(); ++i) record["cases"][i]["machine"] = i % 4 == 1 ? 1 : 0;
  for (const char* key : {"cpu_model", "cores", "load_before", "load_after", "steal_ns"})
    put_null(record["machine"], key, "of several machines: see machines");
  record["machine"]["fingerprint"] = "fedcba9876543210";
  record["machine"]["peaks"] = Json::array();
  record["verifications"].push_back(record["verifications"][0]);
  record["cases"][1]["verification"]["index"] = 1;
  for (int i = 0; i < 2; ++i) {
    record["verifications"][i]["shard"] = i + 1;
    record["merged_from"].push_back({{"shard", i + 1},
                                     {"machine", i},
                                     {"started", record["started"]},
                                     {"finished", record["finished"]},
                                     {"command", {"kvproof", "run", "a.yaml", "--shard", std::to_string(i + 1) + "/2"}},
                                     {"sessions", {record["started"]}},
                                     {"max_time_s", nullptr},
                                     {"exit_code", i == 0 ? 5 : 0}});
  }
  record["sessions"] = {record["started"], record["started"]};
  return record;
}

/// A shard that no case was left for.
inline Json without_cases() {
  Json record = sample_record();
  for (const char* key : {"cases", "checkpoints", "verifications", "warnings"}) record[key] = Json::array();
  record["machine"]["peaks"] = Json::array();
  record["shard"] = {{"index", 4}, {"count", 4}, {"cases", {"a"}}, {"of", {1}}};
  record["exit_code"] = 0;
  return record;
}

/// The lines that contain the word.
inline std::string lines_with(const std::string& text, const std::string& word) {
  std::string found;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    if (const auto line = text.substr(begin, end - begin); line.find(word) != std::string::npos) found += line + "\n";
    begin = end + 1;
  }
  return found;
}

}  // namespace kvproof::testing
