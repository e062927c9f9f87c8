// Records and histories to keep track of, made of the sample record.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <vector>

#include "harness/record/record.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

namespace kvproof::testing {

inline Json sample() { return read_record(source_path("tests/data/record/sample.json")); }

/// The sample's two cases that are VALID and AGREE, of a clean build on a quiet machine: fit for a baseline.
inline Json fit_record() {
  Json record = sample();
  while (record["cases"].size() > 2) record["cases"].erase(2);
  record["kvproof"]["dirty"] = false;
  record["machine"]["steal_ns"] = 0;
  record["warnings"] = Json::array();
  record["exit_code"] = 0;
  return record;
}

inline std::string commit_of_day(int day) { return fmt::format("{:02}", day) + std::string(38, 'a'); }

/// fit_record() as a run of another day: day 0 is 2026-01-01. Its engine took `slower` times as long.
inline Json run_of_day(int day, double slower = 1) {
  Json record = fit_record();
  record["started"] = fmt::format("2026-{:02}-{:02}T10:00:00Z", 1 + day / 28, 1 + day % 28);
  record["finished"] = fmt::format("2026-{:02}-{:02}T10:00:09Z", 1 + day / 28, 1 + day % 28);
  record["kvproof"]["commit"] = commit_of_day(day);
  for (Json& one : record["cases"]) {
    for (const char* name : {"e2e_ns", "ttft_ns", "prefill_ns", "tpot_ns"}) {
      Json& metric = one["paths"]["engine"]["metrics"][name];
      for (const char* key : {"median", "min", "max"}) metric[key] = std::round(metric[key].get<double>() * slower);
    }
  }
  return record;
}

/// Noise of about half a percent, the same every time: of day 0, 1, …
inline double wobble(int day) {
  constexpr double kPercent[] = {0.1, -0.4, 0.3, 0.0, -0.2, 0.5, -0.3, 0.2, -0.1, 0.4};
  return 1 + kPercent[(day * 7 + day / 10) % 10] / 100;
}

}  // namespace kvproof::testing
