// A journal's lines outlive whoever writes them.
#include "harness/record/journal.h"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>

#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "harness/error.h"
#include "tests/harness/record/support.h"

using namespace kvproof;
using namespace kvproof::testing;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

void put_text(const fs::path& file, const std::string& text) { std::ofstream(file, std::ios::binary) << text; }

}  // namespace

TEST_CASE("a line is in the file as soon as append returns, and is read back in order", "[record]") {
  const TempDir folder;
  const fs::path file = folder / "deep/one.jsonl";
  Journal journal = Journal::create(file);
  journal.append({{"a", 1}});
  CHECK(read_file(file) == "{\"a\":1}\n");
  journal.append({{"text", "two\nlines"}});
  CHECK(Journal::read(file) == std::vector<Json>{{{"a", 1}}, {{"text", "two\nlines"}}});
  CHECK(error_of([&] { Journal::create(file); }) == file.string() + ": cannot be made: File exists");
}

TEST_CASE("a journal that never got a line leaves no file, one that was there before stays", "[record]") {
  const TempDir folder;
  const fs::path file = folder / "one.jsonl";
  {
    Journal first = Journal::create(file);
    const Journal journal = std::move(first);
    CHECK(fs::exists(file));
  }
  CHECK_FALSE(fs::exists(file));
  put_text(file, "");
  { const Journal journal = Journal::open(file); }
  CHECK(fs::exists(file));
}

TEST_CASE("a line without its end is cut off, and what is appended follows the last whole one", "[record]") {
  const TempDir folder;
  const fs::path file = folder / "one.jsonl";
  put_text(file, "{\"a\":1}\n{\"b\":2}\n{\"c\":");
  {
    Journal journal = Journal::open(file);
    CHECK(journal.lines().size() == 2);
    journal.append({{"d", 4}});
  }
  CHECK(read_file(file) == "{\"a\":1}\n{\"b\":2}\n{\"d\":4}\n");
}

TEST_CASE("looking at a file changes nothing of it", "[record]") {
  const TempDir folder;
  const fs::path file = folder / "one.jsonl";
  put_text(file, "{\"never");
  CHECK(Journal::read(file).empty());
  CHECK(Journal::open(file).lines().empty());
  CHECK(read_file(file) == "{\"never");
}

TEST_CASE("one process at a time writes a journal, anybody may read it", "[record]") {
  const TempDir folder;
  const fs::path file = folder / "one.jsonl";
  {
    Journal journal = Journal::create(file);
    journal.append({{"a", 1}});
    CHECK(error_of([&] { Journal::open(file); }) ==
          file.string() + ": is being written by another process; wait for its end, or end it");
    CHECK(Journal::read(file).size() == 1);
  }
  CHECK(Journal::open(file).lines().size() == 1);
}

TEST_CASE("a line that does not fit on the disk leaves nothing of itself", "[record]") {
  const TempDir folder;
  const fs::path file = folder / "one.jsonl";
  Journal journal = Journal::create(file);
  journal.append({{"a", 1}});
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 20;  // the first line has 8
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string error = error_of([&] { journal.append({{"b", std::string(50, 'x')}}); });
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  CHECK_THAT(error, Contains("cannot be written: File too large"));
  CHECK(read_file(file) == "{\"a\":1}\n");
  journal.append({{"c", 3}});
  CHECK(read_file(file) == "{\"a\":1}\n{\"c\":3}\n");
}

TEST_CASE("a whole line that is no JSON is named by its number, and nothing is cut off", "[record]") {
  const TempDir folder;
  const fs::path file = folder / "one.jsonl";
  put_text(file, "{\"a\":1}\nnot JSON\n{\"c\":");
  CHECK_THAT(error_of([&] { Journal::open(file); }), Contains("one.jsonl:2: expected a JSON document in each line"));
  CHECK(read_file(file) == "{\"a\":1}\nnot JSON\n{\"c\":");
  CHECK_THAT(error_of([&] { Journal::open(folder / "none.jsonl"); }), Contains("none.jsonl: no such file"));
}

TEST_CASE("a journal never holds NaN", "[record]") {
  const TempDir folder;
  Journal journal = Journal::create(folder / "one.jsonl");
  CHECK_THROWS_AS(journal.append({{"x", std::numeric_limits<double>::quiet_NaN()}}), std::logic_error);
  CHECK(read_file(folder / "one.jsonl").empty());
}
