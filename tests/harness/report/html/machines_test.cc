// A record of several machines, and one without cases, as a page.
#include "harness/record/view.h"
#include "harness/report/html/html.h"
#include "harness/report/html/plot_data.h"
#include "tests/harness/report/merged_records.h"

using namespace kvproof;
using namespace kvproof::testing;
using Catch::Matchers::Contains;

TEST_CASE("the page has every machine, each roofline is its machine's, and no curve joins two machines", "[report]") {
  const Json record = of_two_machines();
  const auto html = render_html(record);
  CHECK_THAT(html, Contains("<h3>machine 2</h3>") && Contains("Other CPU, 96 cores"));
  CHECK_THAT(html, Contains("To see it again: <code>kvproof run a.yaml --shard 1/2</code>"));
  CHECK(html.find("gone on with") == std::string::npos);
  const View view(record);
  const Json single = sample_record();
  const Json data = plot_data(view), apart = plot_data(View(single));
  CHECK(data["cases"][0]["group"] != data["cases"][1]["group"]);
  CHECK(data["cases"][0]["roofline"] == apart["cases"][0]["roofline"]);
  CHECK(data["cases"][1]["roofline"]["flops_per_s"] == 7.5e15);
}

TEST_CASE("the page of a record without cases says that there are none", "[report]") {
  const Json record = without_cases();
  CHECK_THAT(render_html(record), Contains("0 cases. Exit code 0: fine."));
}
