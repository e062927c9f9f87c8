#include "harness/track/baselines.h"

#include <functional>

#include "harness/compare/exact.h"
#include "harness/error.h"
#include "tests/harness/track/samples.h"
#include "tests/support/json_schema.h"

using namespace kvproof;
using namespace kvproof::track;
using Catch::Matchers::Contains;
using testing::TempDir;

namespace {

template <class E>
E thrown(const std::function<void()>& work) {
  try {
    work();
  } catch (const E& error) {
    return error;
  }
  FAIL("nothing of the kind was thrown");
  throw;
}

void put(const std::filesystem::path& dir, const std::string& name) {
  write_json(baseline_file(name, dir), compare::baseline_of(testing::fit_record()));
}

}  // namespace

TEST_CASE("a baseline is found by its name, or by its path", "[track]") {
  const TempDir dir;
  put(dir / "kept", "main");
  CHECK(baseline_names(dir / "kept") == std::vector<std::string>{"main"});
  const FoundBaseline by_name = find_baseline("main", dir / "kept");
  CHECK(by_name.name == "main");
  CHECK(by_name.file == dir / "kept" / "main.json");
  CHECK(by_name.document["schema"]["name"] == "kvproof-baseline");
  CHECK(find_baseline((dir / "kept" / "main.json").string(), "elsewhere").document == by_name.document);
  const std::string record = testing::source_path("tests/data/record/sample.json");
  CHECK(find_baseline(record).document["schema"]["name"] == "kvproof-run");
}

TEST_CASE("a name that nothing has is told with those there are, and with what makes one", "[track]") {
  const TempDir dir;
  const auto none = thrown<NoBaselineError>([&] { find_baseline("main", dir / "kept"); });
  CHECK(none.kind() == "no_baseline");
  CHECK(none.place() == "main");
  CHECK(exit_code_of(none) == ExitCode::no_baseline);
  CHECK(none.message() ==
        fmt::format("no such baseline, as {0} holds none; make one: kvproof run CONFIG.yaml --out run.json && kvproof "
                    "baseline save main --from run.json --dir {0}",
                    (dir / "kept").string()));
  put(dir / "kept", "main");
  put(dir / "kept", "v1.0");
  const auto near = thrown<NoBaselineError>([&] { find_baseline("mian", dir / "kept"); });
  CHECK_THAT(near.message(), Contains(", did you mean \"main\"?; there are main, v1.0; make one: "));
  const auto path = thrown<NoBaselineError>([&] { find_baseline("./main.json", dir / "kept"); });
  CHECK_THAT(path.message(), Contains("no such file; "));
}

TEST_CASE("names of baselines cannot lead out of their folder", "[track]") {
  for (const char* name : {"", "..", ".hidden", "a/b", "/etc/passwd", "-rf", "a b", "ä", "a\n", "main.json"}) {
    CAPTURE(name);
    CHECK_THROWS_AS(check_baseline_name(name), ArgumentError);
    CHECK_THROWS_AS(baseline_file(name, "dir"), ArgumentError);
  }
  for (const char* name : {"main", "v1.2.3", "demo_d4-fp32", "0"}) CHECK_NOTHROW(check_baseline_name(name));
}

TEST_CASE("another document is no baseline, and says where it is not", "[track]") {
  const TempDir dir;
  write_text(dir / "a.json", "{");
  CHECK_THAT(thrown<RecordError>([&] { read_baseline(dir / "a.json"); }).message(), Contains("cut off"));
  write_text(dir / "b.json", R"({"schema": {"name": "kvproof-history", "version": 1}})");
  const auto other = thrown<RecordError>([&] { find_baseline("b", dir / "."); });
  CHECK_THAT(other.place(), Contains("b.json#/schema/name"));
  CHECK_THAT(other.message(), Contains("found \"kvproof-history\""));
  write_text(dir / "c.json", R"({"schema": {"name": "kvproof-baseline", "version": 7}})");
  CHECK_THAT(thrown<RecordError>([&] { find_baseline("c", dir / "."); }).message(),
             Contains("a newer kvproof wrote this"));
}

TEST_CASE("a baseline that is written twice has the same bytes, and so has what was read of it", "[track]") {
  const TempDir dir;
  const Json record = testing::fit_record();
  write_json(dir / "a.json", compare::baseline_of(record));
  write_json(dir / "b.json", compare::baseline_of(Json::parse(record.dump())));
  write_json(dir / "c.json", compare::baseline_of(read_baseline(dir / "a.json")));
  const std::string text = testing::read_file(dir / "a.json");
  CHECK(text == testing::read_file(dir / "b.json"));
  CHECK(text == testing::read_file(dir / "c.json"));
  CHECK(text.ends_with("}\n"));
  CHECK_FALSE(text.ends_with("\n\n"));
}

TEST_CASE("baselines obey their schema, with times and without", "[track]") {
  const testing::JsonSchema schema(
      Json::parse(testing::read_file(testing::source_path("results/baseline.schema.json"))));
  const Json record = testing::sample();
  for (const auto times : {compare::Times::keep, compare::Times::leave_out})
    CHECK(schema.errors(compare::baseline_of(record, times)) == std::vector<std::string>{});
  Json other = compare::baseline_of(record);
  other["cases"][0]["times"]["engine"].erase("tpot_ns");
  CHECK(schema.errors(other).size() == 1);
}
