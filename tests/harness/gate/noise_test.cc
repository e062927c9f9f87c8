// What identical code showed on a machine, kept from comparison to comparison.
#include "harness/gate/noise.h"

#include <fstream>

#include "harness/error.h"
#include "tests/harness/track/samples.h"

using namespace kvproof;
using Catch::Matchers::Contains;
using kvproof::testing::TempDir;

TEST_CASE("what controls showed is read back as it was, of every comparison", "[gate][noise]") {
  const TempDir folder;
  const auto file = folder / "runs/noise.jsonl";
  CHECK(read_noise(file).empty());
  add_noise(file, "2026-11-22T10:15:00Z", 12, {});
  CHECK_FALSE(std::filesystem::exists(file));  // nothing to keep
  add_noise(file, "2026-11-22T10:15:00Z", 12,
            {{"bbbb", "engine_decode cpu", 0.0125}, {"bbbb", "engine_prefill cpu", -0.03}});
  add_noise(file, "2026-11-23T10:15:00Z", 8, {{"cccc", "engine_decode cpu", 0}});
  const auto effects = read_noise(file);
  REQUIRE(effects.size() == 3);
  CHECK(effects[0].metric == "engine_decode cpu");
  CHECK(effects[0].log_ratio == 0.0125);
  CHECK(effects[1].log_ratio == -0.03);
  CHECK(effects[2].fingerprint == "cccc");
  CHECK(Json::parse(kvproof::testing::read_file(file).substr(0, kvproof::testing::read_file(file).find('\n'))) ==
        Json({{"kind", "aa"},
              {"started", "2026-11-22T10:15:00Z"},
              {"fingerprint", "bbbb"},
              {"metric", "engine_decode cpu"},
              {"log_ratio", 0.0125},
              {"blocks", 12}}));
}

TEST_CASE("a damaged line of the noise file is named, with what to do", "[gate][noise]") {
  const TempDir folder;
  const auto file = folder / "noise.jsonl";
  add_noise(file, "2026-11-22T10:15:00Z", 12, {{"bbbb", "engine_decode cpu", 0.01}});
  std::ofstream(file, std::ios::app)
      << R"({"kind": "aa", "fingerprint": "bbbb", "metric": "engine_decode cpu", "log_ratio": "much"})"
      << "\n";
  CHECK_THROWS_AS(read_noise(file), RecordError);
  CHECK_THROWS_WITH(read_noise(file), Contains("noise.jsonl:2: /log_ratio: expected a number") &&
                                          Contains("remove the line, or the file: it is made anew"));
}

TEST_CASE("a line that was never finished is no effect", "[gate][noise]") {
  const TempDir folder;
  const auto file = folder / "noise.jsonl";
  add_noise(file, "2026-11-22T10:15:00Z", 12, {{"bbbb", "engine_decode cpu", 0.01}});
  std::ofstream(file, std::ios::app) << R"({"kind": "aa", "finger)";
  CHECK(read_noise(file).size() == 1);
}
