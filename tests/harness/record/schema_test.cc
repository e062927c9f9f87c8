#include <fstream>

#include "harness/error.h"
#include "harness/record/record.h"
#include "harness/record/view.h"
#include "tests/support/catch.h"
#include "tests/support/json_schema.h"

using namespace kvproof;
using testing::JsonSchema;
using Errors = std::vector<std::string>;

namespace {
Json parsed(const std::string& relative) { return Json::parse(std::ifstream(testing::source_path(relative))); }
}  // namespace

TEST_CASE("the sample record obeys the record's schema", "[record][schema]") {
  const JsonSchema schema(parsed("results/record.schema.json"));
  CHECK(schema.errors(read_record(testing::source_path("tests/data/record/sample.json"))) == Errors{});
}

TEST_CASE("a record of before runs verified obeys the schema", "[record][schema]") {
  const JsonSchema schema(parsed("results/record.schema.json"));
  Json record = parsed("tests/data/record/sample.json");
  record.erase("verifications");
  for (Json& cell : record["cases"]) cell.erase("verification");
  CHECK(schema.errors(record) == Errors{});
}

TEST_CASE("a record of before peaks were measured obeys the schema", "[record][schema]") {
  const JsonSchema schema(parsed("results/record.schema.json"));
  Json record = parsed("tests/data/record/sample.json");
  record["machine"].erase("peaks");
  for (Json& cell : record["cases"]) {
    if (!cell.contains("paths")) continue;
    for (const char* path : {"naive", "engine"}) cell["paths"][path].erase("utilization");
    cell["work"].erase("weight_bytes_stored");
  }
  CHECK(schema.errors(record) == Errors{});
}

TEST_CASE("a record with a fault does not obey the schema", "[record][schema]") {
  const JsonSchema schema(parsed("results/record.schema.json"));
  Json record = parsed("tests/data/record/sample.json");
  struct Row {
    const char* pointer;
    Json value;
    std::string error;
  };
  const auto row = GENERATE(values<Row>({
      {"/schema/version", 2, "/schema/version: expected 1, found 2"},
      {"/exit_code", 9, "/exit_code: expected one of [0,1,2,3,4,5,6,70,130], found 9"},
      {"/machine/cores", "2", "/machine/cores: expected [\"integer\",\"null\"], found string"},
      {"/machine/mhz", 2600, "/machine/mhz: is not allowed here"},
      {"/machine/peaks/0/read/1/working_set", "L4",
       "/machine/peaks/0/read/1/working_set: expected one of [\"in_cache\",\"weights\",\"out_of_cache\"], found "
       "\"L4\""},
      {"/cases/0/paths/engine/utilization/mbu", 0.9, "/cases/0/paths/engine/utilization/mbu: is not allowed here"},
      {"/cases/0/agreement/verdict", "FINE",
       "/cases/0/agreement/verdict: expected one of [\"AGREE\",\"TIE\",\"DISAGREE\",\"UNVERIFIED\"], found \"FINE\""},
      {"/cases/0/verification/verdict", "AGREE",
       "/cases/0/verification/verdict: expected one of [\"PASS\",\"FAIL\",\"INCONCLUSIVE\",\"OFF\"], found \"AGREE\""},
      {"/verifications/0/budget_seconds", -1, "/verifications/0/budget_seconds: -1 is below 0"},
      {"/verifications/0/logits/float64/worst", 1, "/verifications/0/logits/float64/worst: is not allowed here"},
      {"/cases/0/agreement/logits/same_top1", 1.5, "/cases/0/agreement/logits/same_top1: 1.5 is above 1"},
      {"/cases/0/paths/naive/samples/2/e2e_ns", -1, "/cases/0/paths/naive/samples/2/e2e_ns: -1 is below 0"},
      {"/cases/0/paths/naive/samples/2/e2e_ns", 1.5,
       "/cases/0/paths/naive/samples/2/e2e_ns: expected \"integer\", found number"},
      {"/cases/0/speedup/e2e_reason", 3, "/cases/0/speedup/e2e_reason: expected \"string\", found number"},
      {"/cases/5/error", Json::object({{"kind", "capacity"}, {"message", ""}, {"place", ""}}),
       "/cases/5/error: lacks \"exit_code\""},
  }));
  CAPTURE(row.pointer);
  record[Json::json_pointer(row.pointer)] = row.value;
  CHECK(schema.errors(record) == Errors{row.error});
}

TEST_CASE("a schema with a keyword nobody checks is refused", "[record][schema]") {
  CHECK_THROWS_WITH(JsonSchema(Json::object({{"maxLength", 3}})).errors("text"),
                    "JsonSchema does not know the keyword maxLength");
}

TEST_CASE("a view names the field that is not as it should be", "[record]") {
  const Json record = Json::parse(R"({"cases": [{"id": 7, "flag": null, "x": 1.5, "t": "s"}]})");
  const View view(record);
  const View first = view.at("cases").items().at(0);
  CHECK(first.at("x").number() == 1.5);
  CHECK(first.at("id").integer() == 7);
  CHECK(first.at("t").text() == "s");
  CHECK_FALSE(first.at("flag").text_or_null().has_value());
  CHECK(first.has("x"));
  CHECK_FALSE(first.has("y"));
  CHECK_THROWS_WITH(first.at("id").text(), "/cases/0/id: expected a string, found 7; the record is damaged");
  CHECK_THROWS_WITH(first.at("flag").boolean(),
                    "/cases/0/flag: expected true or false, found null; the record is damaged");
  CHECK_THROWS_WITH(first.at("x").integer(), "/cases/0/x: expected an integer, found 1.5; the record is damaged");
  CHECK_THROWS_WITH(first.at("t").number(), "/cases/0/t: expected a number, found string; the record is damaged");
  CHECK_THROWS_WITH(first.at("shape"), "/cases/0/shape: expected a value, found nothing; the record is damaged");
  CHECK_THROWS_WITH(view.at("cases").at("id"), "/cases: expected an object, found array; the record is damaged");
  CHECK_THROWS_WITH(view.items(), "/: expected an array, found object; the record is damaged");
}
