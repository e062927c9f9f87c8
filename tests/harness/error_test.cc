#include "harness/error.h"

#include "tests/support/catch.h"

using namespace kvproof;

TEST_CASE("each kind of error ends in its exit code", "[error]") {
  const auto code = [](const char* kind) { return exit_code_of(Error(kind, "", "why")); };
  for (const char* kind : {"config", "argument"}) CHECK(code(kind) == ExitCode::usage);
  for (const char* kind : {"checkpoint", "tokenizer", "capacity", "record", "subject"})
    CHECK(code(kind) == ExitCode::failed);
  CHECK(code("incomparable") == ExitCode::no_baseline);
  CHECK(code("interrupted") == ExitCode::interrupted);
  CHECK(exit_code_of(NoBaselineError("main", "there is none")) == ExitCode::no_baseline);
  CHECK(static_cast<int>(ExitCode::no_baseline) == 4);
  CHECK(NoBaselineError("main", "there is none").kind() == "no_baseline");
}
