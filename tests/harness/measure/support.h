// What the tests of whole runs share.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "harness/record/record.h"
#include "tests/support/catch.h"
#include "tests/support/json_schema.h"

namespace kvproof::testing {

/// A checkpoint's line in a config: small enough to run in an instant.
inline const std::string kTiny =
    "{name: tiny, synthetic: 'd2,vocab_size=97,n_embd=64,n_head=4,n_kv_head=2,sequence_len=32,seed=3'}";

/// Where a record departs from results/record.schema.json.
inline std::vector<std::string> schema_errors(const Json& record) {
  std::ifstream file(source_path("results/record.schema.json"));
  return JsonSchema(Json::parse(file)).errors(record);
}

}  // namespace kvproof::testing
