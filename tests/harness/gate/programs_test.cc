// The programs of a comparison: found in git, built once, copied.
#include "harness/gate/programs.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <future>
#include <optional>
#include <set>

#include "harness/build_info.h"
#include "harness/error.h"
#include "tests/harness/track/samples.h"

using namespace kvproof;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using kvproof::testing::read_file;
using kvproof::testing::TempDir;
namespace fs = std::filesystem;

namespace {

void shell(const fs::path& folder, const std::string& command) {
  CAPTURE(command);
  fs::create_directories(folder);
  REQUIRE(std::system(("cd '" + folder.string() + "' && { " + command + "; } >/dev/null 2>&1").c_str()) == 0);
}

void write(const fs::path& file, const std::string& text) { std::ofstream(file) << text; }

/// A repository of one commit whose build makes a program of three lines.
fs::path make_repository(const TempDir& folder, const std::string& cmake) {
  const fs::path repository = folder / "repository";
  fs::create_directories(repository);
  write(repository / "CMakeLists.txt", cmake);
  write(repository / "kvproof.sh", "#!/bin/sh\necho small\n");
  shell(repository,
        "git init -q -b main && git config user.email a@b.c && git config user.name a && git add . && git commit -qm "
        "one");
  return repository;
}

constexpr const char* kBuilds =
    "cmake_minimum_required(VERSION 3.22)\n"
    "project(small LANGUAGES NONE)\n"
    "if(NOT DEFINED KVPROOF_TESTS OR KVPROOF_TESTS)\n"
    "  message(FATAL_ERROR \"the tests are not wanted\")\n"
    "endif()\n"
    "file(WRITE ${PROJECT_BINARY_DIR}/build_type \"${CMAKE_BUILD_TYPE}\")\n"
    "add_custom_target(kvproof COMMAND install -m 755 ${PROJECT_SOURCE_DIR}/kvproof.sh "
    "${PROJECT_BINARY_DIR}/kvproof)\n";

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& each : fs::directory_iterator(folder)) names.insert(each.path().filename().string());
  return names;
}

/// An environment variable for as long as this lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* was = std::getenv(name)) was_ = was;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { was_ ? setenv(name_, was_->c_str(), 1) : unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> was_;
};

/// "place: message"
template <class Call>
std::string no_baseline(Call&& call) {
  try {
    call();
  } catch (const NoBaselineError& error) {
    CHECK(exit_code_of(error) == ExitCode::no_baseline);
    return error.place() + ": " + error.message();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a commit is found by any name git has for it", "[gate][programs]") {
  const TempDir folder;
  const fs::path repository = make_repository(folder, kBuilds);
  shell(repository, "git tag v1 && git commit -q --allow-empty -m two && mkdir below");
  const Commit two = find_commit("main", repository);
  CHECK(two.hash.size() == 40);
  CHECK(fs::equivalent(two.repository, repository));
  CHECK(find_commit("HEAD", repository / "below").hash == two.hash);
  CHECK(find_commit(two.hash.substr(0, 10), repository).hash == two.hash);
  const Commit one = find_commit("v1", repository);
  CHECK(one.hash != two.hash);
  CHECK(find_commit("HEAD~1", repository).hash == one.hash);
}

TEST_CASE("a ref that is no commit is told, and is never read as a flag or by the shell", "[gate][programs]") {
  const TempDir folder;
  const fs::path repository = make_repository(folder, kBuilds);
  for (const std::string ref :
       {"nowhere", "", "--all", "HEAD~7", "main:CMakeLists.txt", "$(touch stranger)", "a'b; touch stranger"}) {
    CAPTURE(ref);
    CHECK_THAT(no_baseline([&] { find_commit(ref, repository); }),
               StartsWith(ref + ": no such commit in ") && Contains("; git log shows those that are there"));
  }
  // Forty digits name something whether or not it is there.
  CHECK_THAT(no_baseline([&] { find_commit(std::string(40, 'a'), repository); }), Contains("no such commit in "));
  CHECK_FALSE(fs::exists(repository / "stranger"));
  CHECK_FALSE(fs::exists("stranger"));
}

TEST_CASE("outside of a repository no commit is found, with what else would do", "[gate][programs]") {
  const TempDir folder;
  shell(folder / "bare", "true");
  CHECK(no_baseline([&] { find_commit("main", folder / "bare"); }) ==
        "main: no git repository here; run it inside kvproof's, or give --base-binary");
}

TEST_CASE("a repository that git refuses to read is told with git's own words", "[gate][programs]") {
  const TempDir folder;
  const fs::path repository = make_repository(folder, kBuilds);
  const Variable stranger("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1"), config("GIT_CONFIG_GLOBAL", "/dev/null");
  CHECK_THAT(no_baseline([&] { find_commit("main", repository); }),
             StartsWith("main: git reads no repository here: ") && Contains("dubious ownership") &&
                 Contains("safe.directory") && Contains("or give --base-binary"));
}

TEST_CASE("in a shallow clone the message says what makes it whole", "[gate][programs]") {
  const TempDir folder;
  const fs::path repository = make_repository(folder, kBuilds);
  shell(repository, "git commit -q --allow-empty -m two");
  shell(folder / ".", "git clone -q --depth 1 file://" + repository.string() + " shallow");
  CHECK(find_commit("HEAD", folder / "shallow").hash == find_commit("main", repository).hash);
  CHECK_THAT(no_baseline([&] { find_commit("HEAD~1", folder / "shallow"); }),
             StartsWith("HEAD~1: no such commit in this clone, which is shallow; ") &&
                 Contains("git fetch --unshallow") && Contains("fetch-depth: 0"));
}

TEST_CASE("the program of a commit is built once, with this program's build type, and kept", "[gate][programs]") {
  const TempDir folder;
  const Variable cache("XDG_CACHE_HOME", (folder / "cache").string());
  CHECK(program_cache() == folder / "cache/kvproof/programs");
  const fs::path repository = make_repository(folder, kBuilds);
  const Commit one = find_commit("main", repository);
  write(repository / "kvproof.sh", "#!/bin/sh\necho never committed\n");
  CHECK_FALSE(cached_program(one).has_value());

  std::vector<std::string> told;
  const auto say = [&](const std::string& what) { told.push_back(what); };
  const fs::path program = program_of(one, say);
  CHECK(program.filename() == "kvproof");
  CHECK(program.parent_path().parent_path() == program_cache());
  CHECK_THAT(program.parent_path().filename().string(), StartsWith(one.hash + "-" + build_info().build_type + "-"));
  CHECK(read_file(program) == "#!/bin/sh\necho small\n");  // of the commit, not of the working tree
  REQUIRE(told.size() == 1);
  CHECK_THAT(told[0], StartsWith("builds " + one.hash.substr(0, 12) + " in "));
  CHECK(cached_program(one) == program);
  CHECK(names_in(program.parent_path()) == std::set<std::string>{"build.log", "kvproof"});

  fs::remove_all(repository);  // the second time nothing is built
  CHECK(program_of(one, say) == program);
  CHECK(told.size() == 1);
}

TEST_CASE("two jobs that build one commit leave each other's files alone", "[gate][programs]") {
  const TempDir folder;
  const Variable cache("XDG_CACHE_HOME", (folder / "cache").string());
  std::string slow = kBuilds;
  slow.replace(slow.find("COMMAND install"), 7, "COMMAND sleep 1 COMMAND");
  const Commit commit = find_commit("main", make_repository(folder, slow));
  const auto build = [&] { return program_of(commit, [](const std::string&) {}); };
  auto first = std::async(std::launch::async, build), second = std::async(std::launch::async, build);
  const fs::path program = first.get();
  CHECK(second.get() == program);
  CHECK(names_in(program.parent_path()) == std::set<std::string>{"build.log", "kvproof"});
}

TEST_CASE("a commit that cannot be built is no base, and the end of its log says why", "[gate][programs]") {
  const TempDir folder;
  const Variable cache("XDG_CACHE_HOME", (folder / "cache").string());
  const auto silent = [](const std::string&) {};
  SECTION("its build fails") {
    const Commit commit =
        find_commit("main", make_repository(folder,
                                            "cmake_minimum_required(VERSION 3.22)\nproject(small LANGUAGES NONE)\n"
                                            "message(FATAL_ERROR \"a part is missing\")\n"));
    const std::string error = no_baseline([&] { program_of(commit, silent); });
    CHECK_THAT(error, StartsWith(commit.hash + ": cannot be built here; ") && Contains("build.log ends in:\n") &&
                          Contains("a part is missing"));
    CHECK_FALSE(cached_program(commit).has_value());
    for (const auto& each : fs::directory_iterator(program_cache()))
      CHECK(names_in(each.path()) == std::set<std::string>{"build.log"});
    CHECK_THAT(no_baseline([&] { program_of(commit, silent); }),
               Contains("a part is missing"));  // and the next time, too
  }
  SECTION("it has no such target") {
    const Commit commit = find_commit(
        "main", make_repository(folder, "cmake_minimum_required(VERSION 3.22)\nproject(small LANGUAGES NONE)\n"));
    CHECK_THAT(no_baseline([&] { program_of(commit, silent); }), Contains("cannot be built here"));
  }
  SECTION("its target leaves no program") {
    const Commit commit =
        find_commit("main", make_repository(folder,
                                            "cmake_minimum_required(VERSION 3.22)\nproject(small LANGUAGES NONE)\n"
                                            "add_custom_target(kvproof COMMAND true)\n"));
    CHECK_THAT(no_baseline([&] { program_of(commit, silent); }), Contains("its build left no program; "));
    CHECK_FALSE(cached_program(commit).has_value());
  }
}

TEST_CASE("a base that is not there, a folder or no program is told before anything is measured", "[gate][programs]") {
  const TempDir folder;
  shell(folder / "build", "touch kvproof");
  const auto error_of = [](const fs::path& file) { return no_baseline([&] { require_program(file, "--base"); }); };
  CHECK(error_of(folder / "nothing") == "--base: no such file; give the path of a kvproof built from the base");
  CHECK(error_of(folder / "build") == "--base: is a folder; give the program in it, as build/kvproof");
  CHECK(error_of(folder / "build/kvproof") == "--base: is not executable; give the path of a kvproof");
  CHECK(error_of(own_program()) == "no error");
}

TEST_CASE("the base's copy is a file of its own that ends with it", "[gate][programs]") {
  const TempDir folder;
  shell(folder / ".", "printf '#!/bin/sh\\n' >kvproof && chmod 755 kvproof");
  fs::path file;
  {
    const ProgramCopy copy(folder / "kvproof");
    file = copy.file();
    CHECK(file.filename() == "kvproof");
    CHECK(read_file(file) == read_file(folder / "kvproof"));
    CHECK_FALSE(fs::equivalent(file, folder / "kvproof"));
    CHECK(access(file.c_str(), X_OK) == 0);
  }
  CHECK_FALSE(fs::exists(file.parent_path()));
  CHECK_THROWS_AS(ProgramCopy(folder / "nothing"), RecordError);
}

TEST_CASE("a copy whose program was killed goes with the next one that is made", "[gate][programs]") {
  const TempDir folder;
  const fs::path copies = folder / "tmp";
  shell(folder / ".", "printf '#!/bin/sh\\n' >kvproof && chmod 755 kvproof");
  // Nobody has so high a number: Linux gives no process more than 4194304.
  shell(copies,
        "mkdir kvproof-control-4194999-aaaaaa kvproof-control-bbbbbb kvproof-other-4194999-cccccc && "
        "mkdir kvproof-control-$PPID-dddddd");
  const Variable tmp("TMPDIR", copies.string());
  const ProgramCopy copy(folder / "kvproof"), another(folder / "kvproof");
  CHECK_FALSE(fs::exists(copies / "kvproof-control-4194999-aaaaaa"));
  CHECK(fs::exists(copies / "kvproof-control-bbbbbb"));
  CHECK(fs::exists(copies / "kvproof-other-4194999-cccccc"));
  CHECK(fs::exists(copies / ("kvproof-control-" + std::to_string(getpid()) + "-dddddd")));
  CHECK(fs::exists(copy.file()));
}
