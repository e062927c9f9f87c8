#include "harness/gate/programs.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <system_error>

#include "harness/build_info.h"
#include "harness/error.h"
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
  for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) output.text.append(buffer.data(), n);
  const int status = pclose(pipe);
  output.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  while (output.text.ends_with('\n')) output.text.pop_back();
  return output;
}

std::string git_in(const fs::path& folder) { return "git -C " + shell_quoted(folder.string()) + " "; }

fs::path folder_of(const Commit& commit) {
  return program_cache() / fmt::format("{}-{}", commit.hash, build_info().build_type);
}

std::string last_lines(const fs::path& log, std::size_t most) {
  std::ifstream in(log);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  while (text.ends_with('\n')) text.pop_back();
  return text.size() > most ? "…" + text.substr(text.size() - most) : text;
}

/// What makes the program of a clone, as one line of shell.
std::string build_command(const Commit& commit, const fs::path& folder) {
  const std::string source = shell_quoted((folder / "source").string()), build = shell_quoted((folder / "build").string());
  // What was fetched for the repository serves the clone too. The program outlives its clone, so it must find LibTorch where
  // the repository has it.
  const fs::path deps = commit.repository / ".deps", torch = deps / "torch/share/cmake/Torch";
  std::string command = fmt::format("rm -rf {0} {1} && git clone -q --shared --no-checkout {2} {0}", source, build,
                                    shell_quoted(commit.repository.string()));
  command += fmt::format(" && git -C {} checkout -q --detach {}", source, commit.hash);
  command += fmt::format(" && {{ [ ! -d {0} ] || ln -s {0} {1}/.deps; }}", shell_quoted(deps.string()), source);
  command += fmt::format(" && cmake -S {} -B {} $(command -v ninja >/dev/null && echo -G Ninja) -DCMAKE_BUILD_TYPE={} -DKVPROOF_TESTS=OFF",
                         source, build, build_info().build_type);
  if (fs::is_directory(torch)) command += " -DTorch_DIR=" + shell_quoted(torch.string());
  command += fmt::format(" && cmake --build {} --target kvproof --parallel", build);
  return command;
}

void require_running(const fs::path& program, const Commit& commit) {
  const Output said = output_of(shell_quoted(program.string()) + " --version 2>&1");
  if (said.status != 0)
    throw NoBaselineError(commit.hash, fmt::format("was built in {}, but does not run: {}", program.parent_path().string(), said.text));
}

/// In one step: who looks meanwhile finds the old one, or none.
void put_into_cache(const fs::path& from, const fs::path& to) {
  const fs::path part = to.string() + ".part";
  std::error_code error;
  fs::create_directories(to.parent_path(), error);
  if (!error) fs::copy_file(from, part, fs::copy_options::overwrite_existing, error);
  if (!error) fs::rename(part, to, error);
  if (error) throw RecordError(to.string(), "cannot be written: " + error.message() + "; set XDG_CACHE_HOME to a folder with room");
}

}  // namespace

fs::path own_program() {
  std::error_code error;
  const fs::path file = fs::read_symlink("/proc/self/exe", error);
  if (error) throw RecordError("/proc/self/exe", "cannot be read: " + error.message() + "; compare needs this program's own file");
  return file;
}

void require_program(const fs::path& file, const std::string& name) {
  std::error_code error;
  if (!fs::exists(file, error)) throw NoBaselineError(name, "no such file; give the path of a kvproof built from the base");
  if (fs::is_directory(file, error)) throw NoBaselineError(name, "is a folder; give the program in it, as build/kvproof");
  if (access(file.c_str(), X_OK) != 0) throw NoBaselineError(name, "is not executable; give the path of a kvproof");
}

ProgramCopy::ProgramCopy(const fs::path& program) {
  std::string name = (fs::temp_directory_path() / "kvproof-control-XXXXXX").string();
  if (!mkdtemp(name.data()))
    throw RecordError(name, "cannot be made: " + std::generic_category().message(errno) + "; set TMPDIR to a folder with room");
  folder_ = name;
  file_ = folder_ / program.filename();
  std::error_code error;
  fs::copy_file(program, file_, error);
  if (!error) return;
  fs::remove_all(folder_);
  throw RecordError(program.string(), "cannot be copied to " + file_.string() + ": " + error.message());
}

ProgramCopy::~ProgramCopy() {
  std::error_code error;
  fs::remove_all(folder_, error);
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
  if (top.status != 0) throw NoBaselineError(ref, "no git repository here; run it inside kvproof's, or give --base-binary");
  const Output hash = output_of(git_in(top.text) + "rev-parse --verify --quiet --end-of-options " +
                                shell_quoted(ref + "^{commit}") + " 2>/dev/null");
  const Output present = hash.status == 0 ? output_of(git_in(top.text) + "cat-file -e " + hash.text + " 2>/dev/null") : hash;
  if (hash.status == 0 && present.status == 0) return {top.text, hash.text};
  if (output_of(git_in(top.text) + "rev-parse --is-shallow-repository").text == "true")
    throw NoBaselineError(ref, "no such commit in this clone, which is shallow; fetch the history (git fetch --unshallow; for "
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
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw RecordError(folder.string(), "cannot be made: " + error.message() + "; set XDG_CACHE_HOME to a folder with room");
  say(fmt::format("builds {} in {}", commit.hash.substr(0, 12), folder.string()));
  const Output built = output_of(fmt::format("{{ {}; }} >{} 2>&1", build_command(commit, folder), shell_quoted(log.string())));
  if (built.status != 0)
    throw NoBaselineError(commit.hash, fmt::format("cannot be built here; {} ends in:\n{}", log.string(), last_lines(log, 800)));
  if (!fs::exists(folder / "build/kvproof"))
    throw NoBaselineError(commit.hash, fmt::format("its build left no program in {}", (folder / "build").string()));
  const fs::path built_program = folder / "kvproof.built";
  fs::rename(folder / "build/kvproof", built_program);
  fs::remove_all(folder / "build", error);
  fs::remove_all(folder / "source", error);
  require_running(built_program, commit);  // without what it was built in
  fs::rename(built_program, program);      // from now on it is whole
  return program;
}

}  // namespace kvproof
