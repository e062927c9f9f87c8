// kvproof report --to FORMAT: a record in the formats of other tools.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/program/program.h"

using namespace kvproof::testing;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
namespace fs = std::filesystem;

namespace {

const std::string kSample = "tests/data/record/sample.json";

// The sample record's golden file in each format.
const std::vector<std::pair<std::string, std::string>> kGolden = {
    {"table", "tests/data/record/sample_120.txt"},
    {"markdown", "tests/data/report/sample.md"},
    {"csv", "tests/data/report/sample.csv"},
    {"junit", "tests/data/report/sample.junit.xml"},
    {"gbench", "tests/data/report/sample.gbench.json"},
};

std::vector<std::string> report(const std::vector<std::string>& more) {
  return std::vector<std::string>{"report", source_path(kSample)} + more;
}

/// Exit code and all that is printed of the program with a terminal as its stdout and stderr.
ProgramRun run_on_terminal(const std::vector<std::string>& words) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE((terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0));
  const std::string name = ptsname(terminal);
  std::vector<char*> argv = {const_cast<char*>(KVPROOF_PROGRAM)};
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const int shown = open(name.c_str(), O_RDWR | O_NOCTTY);
    if (shown < 0 || dup2(shown, STDOUT_FILENO) < 0 || dup2(shown, STDERR_FILENO) < 0) _exit(126);
    setenv("NO_COLOR", "1", 1);
    execv(argv[0], argv.data());
    _exit(127);
  }
  ProgramRun run;
  char block[4096];
  for (ssize_t count; (count = read(terminal, block, sizeof block)) > 0;) run.out.append(block, count);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  close(terminal);
  run.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return run;
}

}  // namespace

TEST_CASE("report writes each format to stdout, the table unless told otherwise", "[program][report]") {
  for (const auto& [format, golden] : kGolden) {
    CAPTURE(format);
    const auto run = run_kvproof(report({"--to", format}));
    CHECK(run.code == 0);
    CHECK(run.err.empty());
    CHECK(run.out == read_file(source_path(golden)));
  }
  CHECK(run_kvproof(report({})).out == read_file(source_path(kGolden[0].second)));
}

TEST_CASE("report writes a page of HTML where stdout is a file", "[program][report]") {
  const auto run = run_kvproof(report({"--to", "html"}));
  CHECK(run.code == 0);
  CHECK_THAT(run.out, StartsWith("<!DOCTYPE html>") && Contains("demo/france"));
}

TEST_CASE("report --out writes the file whole, makes its folder and leaves stdout empty", "[program][report]") {
  const TempDir temp;
  for (const auto& [format, golden] : kGolden) {
    CAPTURE(format);
    write_file_of(temp / ("deep/" + format), "what stood there before");
    const auto run = run_kvproof(report({"--to", format, "--out", temp / ("deep/" + format)}));
    CHECK(run.code == 0);
    CHECK(run.out.empty());
    CHECK(run.err == format + " " + temp / ("deep/" + format) + "\n");
    CHECK(read_file(temp / ("deep/" + format)) == read_file(source_path(golden)));
  }
  CHECK(run_kvproof(report({"--out", temp / "new/table.txt"})).code == 0);
  CHECK(read_file(temp / "new/table.txt") == read_file(source_path(kGolden[0].second)));
  CHECK(std::distance(fs::directory_iterator(temp / "deep"), fs::directory_iterator()) == 5);  // no part of a file
}

TEST_CASE("what report is asked for in vain ends with exit code 2 or 6 and the next step", "[program][report]") {
  const TempDir temp;
  fs::create_directories(temp / "folder");
  struct Row {
    std::vector<std::string> words;
    int code;
    std::string error;
  };
  const std::vector<Row> rows = {
      {{"--to", "markdow"}, 2, "error: --to: unknown value \"markdow\", did you mean \"markdown\"?"},
      {{"--to", "csv", "--format", "json"},
       2,
       "error: --to: cannot be combined with --format json, which prints the record itself; leave one out"},
      {{"--out", temp / "x", "--format", "json"},
       2,
       "error: --out: cannot be combined with --format json, which prints the record itself; leave one out"},
      {{"--to", "csv", "--out="}, 2, "error: --out: is empty; give a file or leave the flag out"},
      {{"--to", "csv", "--out", temp / "folder"},
       6,
       "error: " + temp / "folder" + ": is a folder; give the name of a file"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.words);
    const auto run = run_kvproof(report(row.words));
    CHECK(run.code == row.code);
    CHECK(run.last_error_line() == row.error);
  }
  CHECK_FALSE(fs::exists(temp / "x"));
  if (!fs::exists("/proc/self/fd/1")) return;
  // stdout is a file here: a link as /dev/stdout is one, in a folder where a mistake breaks nothing.
  CHECK(run_kvproof(report({"--out", "/proc/self/fd/1"})).err ==
        "error: /proc/self/fd/1: is a device or a pipe, which cannot be replaced whole; give the name of a file\n");
}

TEST_CASE("a damaged record names its field and nothing is written", "[program][report]") {
  const TempDir temp;
  auto record = nlohmann::ordered_json::parse(read_file(source_path(kSample)));
  record["cases"][0]["paths"]["engine"].erase("metrics");
  write_file_of(temp / "damaged.json", record.dump());
  for (const std::string format : {"table", "markdown", "csv", "junit", "gbench", "html"}) {
    CAPTURE(format);
    const auto run = run_kvproof({"report", temp / "damaged.json", "--to", format, "--out", temp / "deep/" + format});
    CHECK(run.code == 6);
    CHECK(run.err == "error: " + temp / "damaged.json" +
                         "#/cases/0/paths/engine/metrics: expected a value, found nothing; the record is damaged\n");
    CHECK_FALSE(fs::exists(temp / "deep"));
  }
}

TEST_CASE("a page of HTML is not written to a terminal, a table is", "[program][report]") {
  const auto page = run_on_terminal(report({"--to", "html"}));
  CHECK(page.code == 2);
  CHECK(page.out == "error: --to: a page of HTML is nothing for a terminal; add --out report.html and open that\r\n");
  const auto table = run_on_terminal(report({}));
  CHECK(table.code == 0);
  CHECK_THAT(table.out, StartsWith("kvproof run configs/sample.yaml"));
}

TEST_CASE("report's help names every format", "[program][report]") {
  const auto help = run_kvproof({"report", "--help"});
  for (const char* format : {"table", "markdown", "csv", "junit", "gbench", "html"})
    CHECK_THAT(help.out, Contains(std::string("\n") + format + " "));
}
