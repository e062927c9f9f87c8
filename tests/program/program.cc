#include "tests/program/program.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <thread>

namespace kvproof::testing {
namespace fs = std::filesystem;

TempDir::TempDir() {
  std::string name = (fs::temp_directory_path() / "kvproof-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder: " + name);
  path_ = name;
}
TempDir::~TempDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

RunOptions in_folder(const fs::path& folder) {
  RunOptions options;
  options.folder = folder;
  return options;
}

RunOptions typing(const std::string& input) {
  RunOptions options;
  options.input = input;
  return options;
}

std::string read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write_file_of(const fs::path& file, const std::string& bytes) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << bytes;
}

nlohmann::json ProgramRun::json() const {
  INFO("stdout: " << out << "\nstderr: " << err);
  REQUIRE(std::count(out.begin(), out.end(), '\n') == 1);
  return nlohmann::json::parse(out);  // throws where anything else stands beside the document
}

std::string ProgramRun::last_error_line() const {
  const auto end = err.find_last_not_of('\n');
  if (end == std::string::npos) return "";
  const auto begin = err.rfind('\n', end);
  return err.substr(begin == std::string::npos ? 0 : begin + 1, end - (begin == std::string::npos ? 0 : begin + 1) + 1);
}

namespace {

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

void redirect(const std::string& file, int flags, int descriptor) {
  const int opened = open(file.c_str(), flags, 0600);
  if (opened < 0 || dup2(opened, descriptor) < 0) _exit(126);
}

// Sends a signal once `ready`, unless the child has ended by then; Ctrl-C to its children too, as a terminal does.
template <typename Ready>
void send_when(pid_t child, int signal, Ready ready) {
  siginfo_t ended{};
  while (!ready()) {
    // Left to be collected later: this only looks.
    if (waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid == child)
      return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  kill(signal == SIGINT ? -child : child, signal);
}

void send_signals(pid_t child, const RunOptions& options, const std::string& out) {
  const auto start = std::chrono::steady_clock::now();
  const auto passed = [&](std::chrono::milliseconds time) { return [=] { return std::chrono::steady_clock::now() - start >= time; }; };
  if (options.interrupt) {
    send_when(child, SIGINT, [&] {
      std::error_code error;
      return fs::file_size(out, error) > 0 && !error;
    });
  }
  if (!options.interrupt_at.empty()) send_when(child, SIGINT, [&] { return fs::exists(options.interrupt_at); });
  if (options.interrupt_after) send_when(child, SIGINT, passed(*options.interrupt_after));
  if (options.kill_after) send_when(child, SIGKILL, passed(*options.kill_after));
}

}  // namespace

ProgramRun run_kvproof(const std::vector<std::string>& words, const RunOptions& options) {
  const TempDir scratch;
  write_file_of(scratch / "in", options.input);
  fs::create_directories(scratch / "home");
  std::vector<std::string> arguments = {options.program.empty() ? KVPROOF_PROGRAM : options.program};
  arguments.insert(arguments.end(), words.begin(), words.end());
  std::vector<std::string> pairs;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string pair = *entry, key = pair.substr(0, pair.find('='));
    if (key != "HOME" && key != "NANOCHAT_BASE_DIR" && options.environment.count(key) == 0) pairs.push_back(pair);
  }
  pairs.push_back("HOME=" + (scratch / "home"));
  for (const auto& [key, value] : options.environment) pairs.push_back(key + "=" + value);
  const auto argv = pointers_to(arguments), envp = pointers_to(pairs);
  const std::string folder = options.folder.empty() ? scratch / "home" : options.folder.string();

  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    setpgid(0, 0);  // Ctrl-C is for this group alone
    redirect(scratch / "in", O_RDONLY, STDIN_FILENO);
    redirect(scratch / "out", O_WRONLY | O_CREAT, STDOUT_FILENO);
    redirect(scratch / "err", O_WRONLY | O_CREAT, STDERR_FILENO);
    if (chdir(folder.c_str()) != 0) _exit(126);
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  send_signals(child, options, scratch / "out");
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(scratch / "out"),
          read_file(scratch / "err")};
}

std::vector<std::string> demo_flags() { return {"--base-dir", source_path("configs/checkpoints/demo-d4")}; }

std::vector<std::string> operator+(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::string comma_separated(const std::vector<int>& ids) {
  std::string text;
  for (const int id : ids) {
    if (!text.empty()) text += ',';
    text += std::to_string(id);
  }
  return text;
}

}  // namespace kvproof::testing
