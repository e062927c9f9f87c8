#include "harness/gate/programs.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <system_error>

#include "harness/build_info.h"
#include "harness/error.h"
#include "harness/record/record.h"
#include "harness/shell_word.h"

namespace kvproof {
namespace {

namespace fs = std::filesystem;

struct Output {
  int status = 0;    // of the shell; 127: no such program
  std::string text;  // stdout, without its last line end
};

Output output_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) throw RecordError(command, "could not be started: the system has no process to spare; try again");
  Output output;
  std::array<char, 4096> buffer;
  for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    output.text.append(buffer.data(), n);
  const int status = pclose(pipe);
  output.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  while (output.text.ends_with('\n')) output.text.pop_back();
  return output;
}

std::string git_in(const fs::path& folder) { return "LC_ALL=C git -C " + shell_quoted(folder.string()) + " "; }

/// Of one commit there are as many programs as ways to build it: times of another compiler or LibTorch are no base.
fs::path folder_of(const Commit& commit) {
  const BuildInfo& build = build_info();
  const std::string way =
      fmt::format("{}\n{}\n{}\n{}", build.build_type, build.compiler, build.compiler_flags, build.torch_version);
  return program_cache() /
         fmt::format("{}-{}-{}", commit.hash, build.build_type, xxh128_of(way.data(), way.size()).substr(0, 8));
}

constexpr const char* kCacheRemedy = "set XDG_CACHE_HOME to a folder with room";
constexpr std::string_view kCopies = "kvproof-control-";

/// What programs that were killed left of their copies: their names begin with the process that made them.
void remove_stale_copies() {
  std::error_code error;
  fs::directory_iterator at(fs::temp_directory_path(), error);
  for (const fs::directory_iterator end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!name.starts_with(kCopies)) continue;
    pid_t owner = 0;
    const char* begin = name.data() + kCopies.size();
    const auto [stop, bad] = std::from_chars(begin, name.data() + name.size(), owner);
    if (bad != std::errc() || *stop != '-' || owner <= 0 || kill(owner, 0) == 0 || errno != ESRCH) continue;
    std::error_code ignored;  // another user's
    fs::remove_all(at->path(), ignored);
  }
}

std::string last_lines(const fs::path& log, std::size_t most) {
  std::ifstream in(log);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  while (text.ends_with('\n')) text.pop_back();
  return text.size() > most ? "…" + text.substr(text.size() - most) : text;
}

/// What makes the program of a clone, as one line of shell.
std::string build_command(const Commit& commit, const fs::path& folder) {
  const std::string source = shell_quoted((folder / "source").string()),
                    build = shell_quoted((folder / "build").string());
  // What was fetched for the repository serves the clone too. The program outlives its clone, so it must find LibTorch where
  // the repository has it.
  const fs::path deps = commit.repository / ".deps", torch = deps / "torch/share/cmake/Torch";
  std::string command =
      fmt::format("git clone -q --shared --no-checkout {1} {0}", source, shell_quoted(commit.repository.string()));
  command += fmt::format(" && git -C {} checkout -q --detach {}", source, commit.hash);
  command += fmt::format(" && {{ [ ! -d {0} ] || ln -s {0} {1}/.deps; }}", shell_quoted(deps.string()), source);
  command += fmt::format(
      " && cmake -S {} -B {} $(command -v ninja >/dev/null && echo -G Ninja) -DCMAKE_BUILD_TYPE={} -DKVPROOF_TESTS=OFF",
      source, build, build_info().build_type);
  if (fs::is_directory(torch)) command += " -DTorch_DIR=" + shell_quoted(torch.string());
  command += fmt::format(" && cmake --build {} --target kvproof --parallel", build);
  return command;
}

void require_running(const fs::path& program, const Commit& commit) {
  const Output said = output_of(shell_quoted(program.string()) + " --version 2>&1");
  if (said.status != 0)
    throw NoBaselineError(
        commit.hash, fmt::format("was built in {}, but does not run: {}", program.parent_path().string(), said.text));
}

/// In one step: who looks meanwhile finds the old one, or none.
void put_into_cache(const fs::path& from, const fs::path& to) {
  const WorkFolder work(to.parent_path(), "part-", kCacheRemedy);
  std::error_code error;
  fs::copy_file(from, work.path() / to.filename(), error);
  if (!error) fs::rename(work.path() / to.filename(), to, error);
  if (error) throw RecordError(to.string(), "cannot be written: " + error.message() + "; " + kCacheRemedy);
}

/// Of a folder in which git finds nothing to read: git's own words, on one line.
std::string no_repository(const fs::path& folder) {
  const std::string words = output_of(git_in(folder) + "rev-parse --show-toplevel 2>&1 >/dev/null").text;
  if (words.find("not a git repository") != std::string::npos)
    return "no git repository here; run it inside kvproof's, or give --base-binary";
  std::istringstream in(words);
  std::string all;
  for (std::string word; in >> word;) all += (all.empty() ? "" : " ") + word;
  return fmt::format("git reads no repository here: {}; mend that, or give --base-binary", all);
}

}  // namespace

fs::path own_program() {
  std::error_code error;
  const fs::path file = fs::read_symlink("/proc/self/exe", error);
  if (error)
    throw RecordError("/proc/self/exe",
                      "cannot be read: " + error.message() + "; compare needs this program's own file");
  return file;
}

void require_program(const fs::path& file, const std::string& name) {
  std::error_code error;
  if (!fs::exists(file, error))
    throw NoBaselineError(name, "no such file; give the path of a kvproof built from the base");
  if (fs::is_directory(file, error))
    throw NoBaselineError(name, "is a folder; give the program in it, as build/kvproof");
  if (access(file.c_str(), X_OK) != 0) throw NoBaselineError(name, "is not executable; give the path of a kvproof");
}

WorkFolder::WorkFolder(const fs::path& parent, const std::string& prefix, const std::string& remedy) {
  std::error_code error;
  fs::create_directories(parent, error);
  std::string name = (parent / (prefix + "XXXXXX")).string();
  if (!error && !mkdtemp(name.data())) error = std::error_code(errno, std::generic_category());
  if (error) throw RecordError(name, "cannot be made: " + error.message() + "; " + remedy);
  path_ = name;
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

ProgramCopy::ProgramCopy(const fs::path& program)
    : folder_(fs::temp_directory_path(), fmt::format("{}{}-", kCopies, getpid()), "set TMPDIR to a folder with room"),
      file_(folder_.path() / program.filename()) {
  remove_stale_copies();
  std::error_code error;
  fs::copy_file(program, file_, error);
  if (error) throw RecordError(program.string(), "cannot be copied to " + file_.string() + ": " + error.message());
}

fs::path program_cache() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache && *cache) return fs::path(cache) / "kvproof/programs";
  const char* home = std::getenv("HOME");
  return (home && *home ? fs::path(home) / ".cache" : fs::temp_directory_path()) / "kvproof/programs";
}

Commit find_commit(const std::string& ref, const fs::path& folder) {
  const Output top = output_of(git_in(folder) + "rev-parse --show-toplevel 2>/dev/null");
  if (top.status == 127) throw NoBaselineError(ref, "git is not installed; install it, or give --base-binary");
  if (top.status != 0) throw NoBaselineError(ref, no_repository(folder));
  const Output hash = output_of(git_in(top.text) + "rev-parse --verify --quiet --end-of-options " +
                                shell_quoted(ref + "^{commit}") + " 2>/dev/null");
  const Output present =
      hash.status == 0 ? output_of(git_in(top.text) + "cat-file -e " + hash.text + " 2>/dev/null") : hash;
  if (hash.status == 0 && present.status == 0) return {top.text, hash.text};
  if (output_of(git_in(top.text) + "rev-parse --is-shallow-repository").text == "true")
    throw NoBaselineError(
        ref,
        "no such commit in this clone, which is shallow; fetch the history (git fetch --unshallow; for "
        "actions/checkout: fetch-depth: 0)");
  throw NoBaselineError(ref, "no such commit in " + top.text + "; git log shows those that are there");
}

std::optional<fs::path> cached_program(const Commit& commit) {
  const fs::path program = folder_of(commit) / "kvproof";
  return access(program.c_str(), X_OK) == 0 ? std::optional(program) : std::nullopt;
}

std::optional<fs::path> keep_own_program() {
  const BuildInfo& build = build_info();
  if (build.dirty || build.commit == "unknown") return std::nullopt;
  const fs::path folder = folder_of({{}, build.commit}), program = folder / "kvproof";
  put_into_cache(own_program(), program);
  return program;
}

fs::path program_of(const Commit& commit, const std::function<void(const std::string&)>& say) {
  if (const auto cached = cached_program(commit)) return *cached;
  const fs::path folder = folder_of(commit), log = folder / "build.log", program = folder / "kvproof";
  const WorkFolder work(folder, "building-", kCacheRemedy);  // of two jobs that build one commit each has its own
  const fs::path own_log = work.path() / "build.log", built_program = work.path() / "kvproof";
  say(fmt::format("builds {} in {}", commit.hash.substr(0, 12), folder.string()));
  // Ctrl-C reaches the build too: what remains of it is removed when it has ended, so the shell waits.
  const Output built = output_of(fmt::format("trap 'exit 130' INT TERM; {{ {}; }} >{} 2>&1",
                                             build_command(commit, work.path()), shell_quoted(own_log.string())));
  const std::string end = last_lines(own_log, 800);
  std::error_code error;
  fs::rename(own_log, log, error);
  if (built.status != 0)
    throw NoBaselineError(commit.hash, fmt::format("cannot be built here; {} ends in:\n{}", log.string(), end));
  if (!fs::exists(work.path() / "build/kvproof"))
    throw NoBaselineError(commit.hash, fmt::format("its build left no program; {} says what it did", log.string()));
  fs::rename(work.path() / "build/kvproof", built_program);
  fs::remove_all(work.path() / "build", error);
  fs::remove_all(work.path() / "source", error);
  require_running(built_program, commit);  // without what it was built in
  fs::rename(built_program, program);      // from now on it is whole
  return program;
}

}  // namespace kvproof
