// Records of several machines, and one without cases, in the formats of other tools.
#include "harness/report/export/csv.h"
#include "harness/report/export/gbench.h"
#include "harness/report/export/junit.h"
#include "harness/report/export/markdown.h"
#include "tests/harness/report/merged_records.h"

using namespace kvproof;
using namespace kvproof::testing;
using Catch::Matchers::Contains;

TEST_CASE("Markdown names every machine, and the commands of the shards that failed alone", "[report]") {
  const auto text = render_markdown(of_two_machines());
  CHECK_THAT(text, Contains("- machine 2: Other CPU, 96 cores") && Contains("fingerprint `0123456789abcdef`"));
  CHECK_THAT(lines_with(text, "| `demo/tool`"), Contains(" on machine 2"));
  CHECK_THAT(text,
             Contains("- to see the cases again: `kvproof run a.yaml --shard 1/2`\n") && !Contains("--shard 2/2"));
  CHECK_THAT(text, Contains("- merged of 2 shards\n") && !Contains("gone on with"));
  Json record = of_two_machines();
  record["merged_from"][1]["sessions"].push_back("2026-11-23T00:00:00Z");
  CHECK_THAT(render_markdown(record), Contains("- shard 2: cut off and gone on with; its processes began `2026-"));
}

TEST_CASE("a row of CSV has the machine that its case ran on, failed or not", "[report]") {
  const auto text = render_csv(of_two_machines());
  CHECK_THAT(lines_with(text, ",demo/tool,"), Contains("0123456789abcdef,Other CPU,96"));
  CHECK_THAT(lines_with(text, ",demo/long,"), Contains("0123456789abcdef,Other CPU,96"));
  CHECK_THAT(lines_with(text, ",demo/france,"), !Contains("Other CPU"));
}

TEST_CASE("JUnit has both machines' facts and with each case its own", "[report]") {
  const auto text = render_junit(of_two_machines());
  CHECK_THAT(text, Contains("<property name=\"machine 2.cpu_model\" value=\"Other CPU\""));
  CHECK_THAT(text, Contains("<property name=\"machine\" value=\"machine 2\""));
  CHECK_THAT(text, Contains("shard 1\"") && Contains("shard 2\""));
}

TEST_CASE("Google Benchmark's rows say on which machine they were measured; its context is of none", "[report]") {
  const Json document = Json::parse(render_gbench(of_two_machines()));
  CHECK(document["context"]["num_cpus"] == 0);
  CHECK(document["context"]["machine_fingerprint"] == "fedcba9876543210");
  for (const Json& row : document["benchmarks"]) {
    const bool second = row["name"].get<std::string>().rfind("demo/tool", 0) == 0;
    if (row.contains("label"))
      CHECK_THAT(row["label"].get<std::string>(), Contains(second ? " on machine 2," : " on machine 1,"));
  }
}

TEST_CASE("a record without cases is told in every format", "[report]") {
  const Json record = without_cases();
  CHECK_THAT(render_markdown(record), Contains("0 cases. Exit code 0: fine."));
  CHECK(lines_with(render_csv(record), ",").find("started,") == 0);
  CHECK_THAT(render_junit(record), Contains("tests=\"0\""));
  CHECK(Json::parse(render_gbench(record))["benchmarks"].empty());
}
