// A journal's lines outlive whoever writes them.
#include "harness/record/journal.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "harness/error.h"
#include "tests/support/catch.h"

using namespace kvproof;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path = fs::temp_directory_path() / ("kvproof-journal-" + std::to_string(getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
};

std::string text_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void put_text(const fs::path& file, const std::string& text) { std::ofstream(file, std::ios::binary) << text; }

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const RecordError& error) {
    return error.what();
  }
  return "no RecordError";
}

}  // namespace

TEST_CASE("a line is in the file as soon as append returns, and is read back in order", "[record]") {
  const Folder folder;
  const fs::path file = folder.path / "deep/one.jsonl";
  Journal journal = Journal::create(file);
  journal.append({{"a", 1}});
  CHECK(text_of(file) == "{\"a\":1}\n");
  journal.append({{"text", "two\nlines"}});
  const Journal read = Journal::open(file);
  CHECK(read.lines() == std::vector<Json>{{{"a", 1}}, {{"text", "two\nlines"}}});
  CHECK(error_of([&] { Journal::create(file); }) == file.string() + ": cannot be made: File exists");
}

TEST_CASE("a line without its end is cut off, and what is appended follows the last whole one", "[record]") {
  const Folder folder;
  const fs::path file = folder.path / "one.jsonl";
  put_text(file, "{\"a\":1}\n{\"b\":2}\n{\"c\":");
  {
    Journal journal = Journal::open(file);
    CHECK(journal.lines().size() == 2);
    journal.append({{"d", 4}});
  }
  CHECK(text_of(file) == "{\"a\":1}\n{\"b\":2}\n{\"d\":4}\n");
  put_text(file, "{\"never");
  CHECK(Journal::open(file).lines().empty());
  CHECK(text_of(file).empty());
}

TEST_CASE("a whole line that is no JSON is named by its number, and nothing is cut off", "[record]") {
  const Folder folder;
  const fs::path file = folder.path / "one.jsonl";
  put_text(file, "{\"a\":1}\nnot JSON\n{\"c\":");
  CHECK_THAT(error_of([&] { Journal::open(file); }), Contains("one.jsonl:2: expected a JSON document in each line"));
  CHECK(text_of(file) == "{\"a\":1}\nnot JSON\n{\"c\":");
  CHECK_THAT(error_of([&] { Journal::open(folder.path / "none.jsonl"); }), Contains("none.jsonl: no such file"));
}

TEST_CASE("a journal never holds NaN", "[record]") {
  const Folder folder;
  Journal journal = Journal::create(folder.path / "one.jsonl");
  CHECK_THROWS_AS(journal.append({{"x", std::numeric_limits<double>::quiet_NaN()}}), std::logic_error);
  CHECK(text_of(folder.path / "one.jsonl").empty());
}
