// Records of shards, merged ones, and those of several machines, as tables.
#include "harness/record/machines.h"
#include "harness/error.h"
#include "harness/report/table.h"
#include "tests/harness/report/merged_records.h"

using namespace kvproof;
using namespace kvproof::testing;
using Catch::Matchers::Contains;

TEST_CASE("the table names every machine, and with each case the one that it ran on", "[report]") {
  const auto table = render_table(of_two_machines(), false, 120);
  CHECK_THAT(lines_with(table, "machine 2  "), Contains("  machine 2  Other CPU, 96 cores"));
  CHECK_THAT(lines_with(table, "machine 1  "), !Contains("Other CPU"));
  CHECK_THAT(lines_with(table, "  demo/tool  "), Contains(" on machine 2"));
  CHECK_THAT(lines_with(table, "  demo/france  "), Contains(" on machine 1"));
  CHECK_THAT(table, Contains("kvproof run configs/sample.yaml, merged of 2 shards"));
  CHECK_THAT(lines_with(table, "verification  "), Contains(", shard 1: ") && Contains(", shard 2: "));
}

TEST_CASE("the table of a record without cases says whose shard it is, and that there are none", "[report]") {
  const Json record = without_cases();
  const auto table = render_table(record, false, 120);
  CHECK_THAT(table, Contains("kvproof run configs/sample.yaml, shard 4 of 4"));
  CHECK_THAT(table, Contains("0 cases. Exit code 0: fine."));
}

TEST_CASE("a case that names a machine which is not there is damaged", "[report]") {
  Json record = of_two_machines();
  record["cases"][1]["machine"] = 2;
  const View view(record);
  CHECK_THROWS_WITH(machine_of(view, view.at("cases").items()[1]),
                    "/cases/1/machine: expected a machine from 0 to 1, found 2; the record is damaged");
}
