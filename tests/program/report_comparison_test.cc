// kvproof report of a comparison's document, which it takes as it takes a record.
#include <filesystem>

#include "tests/program/program.h"

using namespace kvproof::testing;
namespace fs = std::filesystem;

namespace {

const std::string kExample = "tests/data/comparison/regressed";

std::vector<std::string> report(const std::vector<std::string>& more) {
  return std::vector<std::string>{"report", source_path(kExample + ".json")} + more;
}

}  // namespace

TEST_CASE("report writes a comparison in each format that it has", "[program][report]") {
  const TempDir temp;
  for (const auto& [format, golden] : std::vector<std::pair<std::string, std::string>>{
           {"table", "120.txt"}, {"markdown", "md"}, {"csv", "csv"}, {"junit", "junit.xml"}}) {
    CAPTURE(format);
    const auto run = run_kvproof(report({"--to", format}));
    CHECK(run.code == 0);
    CHECK(run.err.empty());
    CHECK(run.out == read_file(source_path(kExample + "." + golden)));
    CHECK(run_kvproof(report({"--to", format, "--out", temp / format})).code == 0);
    CHECK(read_file(temp / format) == run.out);
  }
  const auto page = run_kvproof(report({"--to", "html"}));
  CHECK(page.code == 0);
  CHECK_THAT(page.out, Catch::Matchers::StartsWith("<!DOCTYPE html>") && Catch::Matchers::Contains("demo/decode"));
  CHECK(run_kvproof(report({"--format", "json"})).out.find("kvproof-comparison") != std::string::npos);
}

TEST_CASE("report says which formats a comparison does not have, and what to take instead", "[program][report]") {
  const auto gbench = run_kvproof(report({"--to", "gbench"}));
  CHECK(gbench.code == 2);
  CHECK(gbench.last_error_line() ==
        "error: --to: gbench is nothing for a comparison: Google Benchmark's format holds the times of one program: "
        "write the base's and the candidate's records");
}

TEST_CASE("a damaged comparison names its file and its field", "[program][report]") {
  const TempDir temp;
  auto document = nlohmann::ordered_json::parse(read_file(source_path(kExample + ".json")));
  document["timing"]["metrics"][1].erase("margin");
  write_file_of(temp / "damaged.json", document.dump());
  for (const std::string format : {"table", "markdown", "csv", "junit", "html"}) {
    CAPTURE(format);
    const auto run = run_kvproof({"report", temp / "damaged.json", "--to", format, "--out", temp / "deep/" + format});
    CHECK(run.code == 6);
    CHECK(run.err == "error: " + temp / "damaged.json" +
                         "#/timing/metrics/1/margin: expected a value, found nothing; the record is damaged\n");
    CHECK_FALSE(fs::exists(temp / "deep"));
  }
}
