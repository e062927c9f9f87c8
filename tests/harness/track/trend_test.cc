#include "harness/track/trend.h"

#include "harness/error.h"
#include "tests/harness/compare/numbers.h"
#include "tests/harness/track/samples.h"

using namespace kvproof;
using namespace kvproof::track;
using Catch::Matchers::Contains;
using testing::commit_of_day;
using testing::run_of_day;
using testing::wobble;

namespace {

const std::vector<std::string> kTpot = {"engine.tpot_ns"};

History history_of(const std::vector<Json>& records, const std::vector<std::optional<std::string>>& releases = {}) {
  History history;
  for (std::size_t i = 0; i < records.size(); ++i) {
    for (HistoryLine& line : lines_of(records[i], i < releases.size() ? releases[i] : std::nullopt))
      history.lines.push_back(std::move(line));
  }
  return history;
}

// Days whose engine took as long as the levels say.
std::vector<Json> days(const std::vector<double>& levels) {
  std::vector<Json> records;
  for (std::size_t i = 0; i < levels.size(); ++i)
    records.push_back(run_of_day(static_cast<int>(i), levels[i] * wobble(static_cast<int>(i))));
  return records;
}

std::vector<double> repeated(std::initializer_list<std::pair<int, double>> stretches) {
  std::vector<double> levels;
  for (const auto& [count, level] : stretches) levels.insert(levels.end(), static_cast<std::size_t>(count), level);
  return levels;
}

Json trend(const History& history, std::optional<std::string> against = {}) {
  return trend_of(history, {"h.jsonl", kTpot, std::move(against)});
}

}  // namespace

TEST_CASE("a planted step is named by the commit it came with", "[track][trend]") {
  const Json all = trend(history_of(days(repeated({{10, 1.0}, {6, 1.05}}))));
  REQUIRE(all["series"].size() == 2);
  for (const Json& one : all["series"]) {
    CAPTURE(one["case"]);
    REQUIRE(one["steps"].size() == 1);
    const Json& step = one["steps"][0];
    CHECK(step["at"] == 10);
    CHECK(step["before"] == Json({{"commit", one["points"][9]["commit"]}, {"started", "2026-01-10T10:00:00Z"}}));
    CHECK(step["after"]["commit"] == commit_of_day(10));
    CHECK(step["ratio"].get<double>() == Approx(1.05).epsilon(0.003));
    CHECK(one["verdict"] == "SLOWER");
    CHECK(one["stretches"].size() == 2);
    CHECK(one["stretches"][0]["to"] == 9);
    CHECK(one["stretches"][1]["from"] == 10);
    CHECK(one["stretches"][1]["ns"] == step["after_ns"]);
  }
  CHECK(all["verdict"] == "SLOWER");
  CHECK(all["records"] == 16);
  CHECK(all["lines"] == 32);
}

TEST_CASE("a series without a step has none", "[track][trend]") {
  const Json all = trend(history_of(days(repeated({{28, 1.0}}))));
  for (const Json& one : all["series"]) {
    CHECK(one["steps"] == Json::array());
    CHECK(one["verdict"] == "LEVEL");
    CHECK(one["ratio"].is_null());
    REQUIRE(one["stretches"].size() == 1);
    CHECK(one["stretches"][0]["to"] == 27);
  }
  CHECK(all["verdict"] == "LEVEL");
}

TEST_CASE("the newest stretch decides: a step that was taken back is told, and is no fault", "[track][trend]") {
  const auto verdict = [](const std::vector<double>& levels) { return trend(history_of(days(levels)))["verdict"]; };
  CHECK(verdict(repeated({{10, 1.0}, {8, 1.08}, {8, 1.0}})) == "LEVEL");
  CHECK(trend(history_of(days(repeated({{10, 1.0}, {8, 1.08}, {8, 1.0}}))))["series"][0]["verdict"] == "FASTER");
  CHECK(verdict(repeated({{10, 1.0}, {8, 0.9}, {8, 0.97}})) == "SLOWER");
  // Two points behind the step are not yet a level.
  CHECK(verdict(repeated({{10, 1.0}, {2, 1.2}})) == "LEVEL");
}

TEST_CASE("a step below the margin is told, and is no fault", "[track][trend]") {
  std::vector<Json> records = days(repeated({{10, 1.0}, {10, 1.012}}));
  const Json one = trend(history_of(records))["series"][0];
  REQUIRE(one["steps"].size() == 1);
  CHECK(one["verdict"] == "LEVEL");
}

TEST_CASE("of fewer than six points nothing can be said", "[track][trend]") {
  const Json all = trend(history_of(days(repeated({{5, 1.0}}))));
  CHECK(all["series"][0]["verdict"] == "TOO FEW");
  CHECK(all["series"][0]["reason"] == "5 of the 6 points that a step needs");
  CHECK(all["verdict"] == "TOO FEW");
  CHECK(trend(history_of(days(repeated({{6, 1.0}}))))["verdict"] == "LEVEL");
  CHECK(trend({})["verdict"] == "TOO FEW");
}

TEST_CASE("times of different machines, workloads and builds never join one line", "[track][trend]") {
  std::vector<Json> records = days(repeated({{6, 1.0}, {6, 2.0}, {6, 3.0}, {6, 4.0}}));
  for (std::size_t i = 6; i < 12; ++i) records[i]["machine"]["fingerprint"] = "0123456789abcdef";
  for (std::size_t i = 12; i < 18; ++i) {
    for (Json& one : records[i]["cases"]) one["settings"]["run"]["threads"] = 1;
  }
  for (std::size_t i = 18; i < 24; ++i) records[i]["kvproof"]["build_type"] = "Debug";
  const Json all = trend(history_of(records));
  REQUIRE(all["series"].size() == 8);
  for (std::size_t i = 0; i < 8; ++i) {
    const Json& one = all["series"][i];
    CHECK(one["case"] == (i < 4 ? "demo/france" : "demo/tool"));
    CHECK(one["points"].size() == 6);
    CHECK(one["steps"].empty());
    CHECK(one["current"] == (i % 4 == 0));  // the newest
    CHECK(one["build"] == (i % 4 == 0 ? "Debug" : "Release"));
  }
  CHECK(all["series"][2]["fingerprint"] == "0123456789abcdef");
  CHECK(all["verdict"] == "LEVEL");
}

TEST_CASE("machines that take turns make two series, each with its own step", "[track][trend]") {
  std::vector<double> levels;
  for (int i = 0; i < 24; ++i) levels.push_back(i % 2 == 0 ? 1.0 : i < 12 ? 3.0 : 3.3);
  std::vector<Json> records = days(levels);
  for (std::size_t i = 1; i < records.size(); i += 2) records[i]["machine"]["fingerprint"] = "0123456789abcdef";
  const Json all = trend(history_of(records));
  CHECK(all["series"][0]["fingerprint"] == "0123456789abcdef");
  REQUIRE(all["series"][0]["steps"].size() == 1);
  CHECK(all["series"][0]["steps"][0]["after"]["commit"] == commit_of_day(13));
  CHECK(all["series"][1]["steps"].empty());
}

TEST_CASE("only valid cases make points", "[track][trend]") {
  std::vector<Json> records = days(repeated({{8, 1.0}}));
  records[2]["cases"][0]["validity"]["verdict"] = "INVALID";
  records[3]["cases"][0] = testing::sample()["cases"][5];
  const Json all = trend(history_of(records));
  CHECK(all["series"][0]["points"].size() == 6);
  CHECK(all["series"][1]["points"].size() == 8);
  CHECK(all["left_out"] == Json({{"failed", 1}, {"invalid", 1}}));
}

TEST_CASE("a case that the newest record has not, or not VALID, is not level: nothing can be said of it", "[track][trend]") {
  std::vector<Json> records = days(repeated({{9, 1.0}}));
  Json& newest = records.back();
  std::string reason;
  SECTION("dropped, its config edited") {
    newest["cases"].erase(0);
    newest["config"]["hash"] = "00000000000000aa";
    reason = "the case is not in the newest record";
  }
  SECTION("dropped, its config as it was") {
    newest["cases"].erase(0);
    reason = "the case is not in the newest record";
  }
  SECTION("failed") {
    newest["cases"][0] = testing::sample()["cases"][5];
    newest["cases"][0]["id"] = "demo/france";
    reason = "the case failed in the newest record";
  }
  SECTION("INVALID") {
    newest["cases"][0]["validity"]["verdict"] = "INVALID";
    reason = "the case is INVALID in the newest record";
  }
  const Json all = trend(history_of(records));
  const Json& one = all["series"][0];
  CHECK(one["case"] == "demo/france");
  CHECK(one["points"].size() == 8);
  CHECK(one["verdict"] == "TOO FEW");
  CHECK_THAT(one["reason"].get<std::string>(), Contains(reason) && Contains("2026-01-09T10:00:00Z"));
  CHECK(all["series"][1]["verdict"] == "LEVEL");
  CHECK(all["verdict"] == "TOO FEW");
}

TEST_CASE("newer records of another config, of another machine or of another shard outdate no case", "[track][trend]") {
  std::vector<Json> records = days(repeated({{9, 1.0}}));
  Json more = run_of_day(9);
  SECTION("another config with cases of its own") {
    more["config"]["hash"] = "00000000000000aa";
    more["cases"].erase(0);
    more["cases"][0]["id"] = "demo/another";
  }
  SECTION("another machine, which has the other case alone") {
    more["machine"]["fingerprint"] = "0123456789abcdef";
    more["cases"].erase(0);
  }
  SECTION("a shard of the same run") {
    more["kvproof"]["commit"] = records.back()["kvproof"]["commit"];
    more["cases"].erase(0);
  }
  records.push_back(more);
  const Json one = trend(history_of(records))["series"][0];
  CHECK(one["case"] == "demo/france");
  CHECK(one["verdict"] == "LEVEL");
}

TEST_CASE("a slow creep shows against the release, though no step does", "[track][trend]") {
  std::vector<double> levels = repeated({{3, 1.0}});
  for (int i = 0; i < 12; ++i) levels.push_back(1 + 0.004 * i);
  std::vector<std::optional<std::string>> releases(3, "v1.0");
  std::vector<Json> records;
  for (std::size_t i = 0; i < levels.size(); ++i) records.push_back(run_of_day(static_cast<int>(i), levels[i]));
  for (int i = 0; i < 3; ++i) records[static_cast<std::size_t>(i)] = run_of_day(i, 1 + 0.001 * i);
  const Json one = trend(history_of(records, releases), "v1.0")["series"][0];
  CHECK(one["verdict"] == "SLOWER");
  CHECK(one["release"]["points"] == Json({0, 1, 2}));
  CHECK(one["release"]["latest"] == Json({10, 11, 12, 13, 14}));
  CHECK(one["release"]["slower"] == true);
  // Geometric means: of 1.028, 1.032, 1.036, 1.04, 1.044 over 1, 1.001, 1.002.
  CHECK(one["ratio"].get<double>() == Approx(1.0350).epsilon(1e-4));

  const History same = history_of(days(repeated({{15, 1.0}})), releases);
  CHECK(trend(same, "v1.0")["series"][0]["verdict"] == "LEVEL");
  const History faster = history_of(days(repeated({{5, 1.0}, {10, 0.9}})), releases);
  CHECK(trend(faster, "v1.0")["series"][0]["verdict"] == "FASTER");
}

TEST_CASE("runs of the release's commit are its points, others of its name's neighbours are not", "[track][trend]") {
  std::vector<Json> records = days(repeated({{8, 1.0}}));
  const std::string commit = "feed000000000000000000000000000000000000";
  for (const std::size_t i : {1, 2, 3}) records[i]["kvproof"]["commit"] = commit;
  records[3]["kvproof"]["dirty"] = true;
  const std::vector<std::optional<std::string>> releases = {std::nullopt, "v2", std::nullopt};
  const Json one = trend(history_of(records, releases), "v2")["series"][0];
  CHECK(one["release"]["points"] == Json({1, 2}));
  CHECK(one["verdict"] == "TOO FEW");
  CHECK(one["reason"] == "2 of 3 points of release v2: run its commit again and add the records with --release v2");
}

TEST_CASE("a release that has no newer points leaves nothing to say", "[track][trend]") {
  const std::vector<std::optional<std::string>> releases(8, "v3");
  const Json one = trend(history_of(days(repeated({{8, 1.0}})), releases), "v3")["series"][0];
  CHECK(one["reason"] == "0 of 3 points since release v3");
  CHECK(one["release"]["latest"] == Json::array());
}

TEST_CASE("a release that nobody added is told with those there are", "[track][trend]") {
  const History history = history_of(days(repeated({{3, 1.0}})), {"v1.0", "v1.1"});
  CHECK_THROWS_AS(trend(history, "v1.2"), NoBaselineError);
  CHECK_THROWS_WITH(trend(history, "nightly"), Contains("no release of that name; the history has v1.0, v1.1; "));
  CHECK_THROWS_WITH(trend({}, "v1"), Contains("the history has none"));
}

TEST_CASE("noise alone seldom makes a step", "[track][trend]") {
  testing::Noise noise(7);
  int alarms = 0;
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::vector<Json> records;
    for (int day = 0; day < 25; ++day) records.push_back(run_of_day(day, std::exp(0.02 * noise.normal())));
    alarms += trend(history_of(records))["verdict"] == "SLOWER" ? 1 : 0;
  }
  CHECK(alarms <= 1);  // seen: 0
}
