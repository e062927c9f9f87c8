// What the tests of records and journals share.
#pragma once

#include <functional>
#include <string>

#include "harness/error.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

namespace kvproof::testing {

/// What the RecordError that action throws says.
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const RecordError& error) {
    return error.what();
  }
  return "no RecordError";
}

}  // namespace kvproof::testing
