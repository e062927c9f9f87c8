#include "harness/subject/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <limits>
#include <optional>
#include <thread>
#include <utility>

#include "harness/error.h"
#include "harness/machine/machine.h"

extern char** environ;

namespace kvproof {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr std::size_t kReadAhead = 64 << 10;
constexpr std::size_t kMostUnasked = 64 << 20;  // kept of what a child says while it is being written to
constexpr std::size_t kKeptStderr = 8 << 10;
constexpr std::size_t kLastLines = 3, kLongestWords = 400;
constexpr double kGraceSeconds = 2, kEndSeconds = 1;
constexpr int64_t kTextNs = kSecond / 20;  // how long the rest of a text may take to come
[[maybe_unused]] constexpr int kPipeBytes = 1 << 20;

/// SIGPIPE held back from this thread while one lives, and taken away if it came.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoSigpipe() {
    sigset_t pending;
    sigpending(&pending);
    int taken = 0;
    if (!was_pending_ && sigismember(&pending, SIGPIPE) == 1) sigwait(&pipe_, &taken);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t pipe_, before_;
  bool was_pending_;
};

struct Pipe {
  Descriptor reader, writer;
};

/// Both ends above stderr, so that none of them is in the way of a child's own three.
std::optional<Pipe> open_pipe() {
  int ends[2];
#ifdef __linux__
  const int failed = pipe2(ends, O_CLOEXEC);
#else
  const int failed = pipe(ends);
#endif
  if (failed != 0) return std::nullopt;
  const Descriptor low[2] = {Descriptor(ends[0]), Descriptor(ends[1])};
  Pipe pipe{Descriptor(fcntl(ends[0], F_DUPFD_CLOEXEC, STDERR_FILENO + 1)),
            Descriptor(fcntl(ends[1], F_DUPFD_CLOEXEC, STDERR_FILENO + 1))};
  if (pipe.reader.get() < 0 || pipe.writer.get() < 0) return std::nullopt;
  return pipe;
}

void make_roomy(const Descriptor& pipe) {
#ifdef F_SETPIPE_SZ
  fcntl(pipe.get(), F_SETPIPE_SZ, kPipeBytes);  // refused where all pipes together hold too much: then it stays small
#endif
}

void never_block(const Descriptor& fd) { fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK); }

/// /bin/sh -c script argument, with these three, default signals and a process group of its own. returns an errno
int spawn_shell(const std::string& script, const std::string& argument, std::array<int, 3> descriptors, pid_t* pid) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int i = 0; i < 3; ++i) posix_spawn_file_actions_adddup2(&actions, descriptors[i], i);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t all, none;
  sigfillset(&all);
  sigdelset(&all, SIGKILL);
  sigdelset(&all, SIGSTOP);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  std::string words[4] = {"sh", "-c", script, argument};
  char* argv[5] = {words[0].data(), words[1].data(), words[2].data(), words[3].data(), nullptr};
  const int failed = posix_spawn(pid, "/bin/sh", &actions, &attributes, argv, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return failed;
}

void reap(pid_t pid) {
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.release();
  }
  return *this;
}
void Descriptor::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}
int Descriptor::release() { return std::exchange(fd_, -1); }

ChildProcess::ChildProcess(std::string command, bool show_stderr)
    : command_(std::move(command)), show_stderr_(show_stderr), buffer_(kReadAhead),
      deadline_ns_(std::numeric_limits<int64_t>::max()) {
  auto in = open_pipe(), out = open_pipe(), err = open_pipe();
  if (!in || !out || !err)
    throw SubjectError(
        command_, fmt::format("no pipes could be made for it: {}; are too many files open?", std::strerror(errno)));
  make_roomy(in->writer);
  make_roomy(out->writer);
  for (const Descriptor* ours : {&in->writer, &out->reader, &err->reader}) never_block(*ours);
  in_ = std::move(in->writer);
  out_ = std::move(out->reader);
  err_ = std::move(err->reader);
  start(std::move(in->reader), std::move(out->writer), std::move(err->writer));
  start_guard();
}

void ChildProcess::start(Descriptor in, Descriptor out, Descriptor err) {
  const int failed = spawn_shell(command_, "kvproof-subject", {in.get(), out.get(), err.get()}, &pid_);
  if (failed == 0) return;
  pid_ = -1;
  throw SubjectError(command_, fmt::format("/bin/sh could not be started: {}", std::strerror(failed)));
}

// Whatever ends us closes `life_`, and the guard wakes up. Where none can be made nothing but that is lost.
void ChildProcess::start_guard() {
  auto life = open_pipe();
  const Descriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!life || null.get() < 0) return;
  const std::string script = "trap '' HUP INT TERM; read -r _; kill -KILL -\"$0\"";
  if (spawn_shell(script, std::to_string(pid_), {life->reader.get(), null.get(), null.get()}, &guard_) != 0)
    guard_ = -1;
  life_ = std::move(life->writer);
}

ChildProcess::~ChildProcess() {
  in_.close();
  out_.close();  // one that is still writing is not waited for
  has_ended(kGraceSeconds);
  kill();
  reap(pid_);
  if (guard_ > 0) {
    ::kill(guard_, SIGKILL);
    reap(guard_);
  }
}

// The child is reaped by the destructor alone: until then nobody else can get its number.
void ChildProcess::kill() { ::kill(-pid_, SIGKILL); }

bool ChildProcess::running() { return !has_ended(0); }

bool ChildProcess::has_ended(double wait_seconds) {
  const int64_t until = now_ns() + static_cast<int64_t>(wait_seconds * kSecond);
  for (auto pause = std::chrono::microseconds(200);; pause = std::min(2 * pause, std::chrono::microseconds(10'000))) {
    siginfo_t ended{};
    const bool asked = waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0;
    take_stderr();
    if (asked && ended.si_pid == pid_) return true;
    if (now_ns() >= until) return false;
    std::this_thread::sleep_for(pause);
  }
}

void ChildProcess::set_deadline(double seconds) {
  allowed_seconds_ = seconds;
  deadline_ns_ = now_ns() + static_cast<int64_t>(seconds * kSecond);
}

ChildProcess::Ready ChildProcess::wait(bool for_writing) {
  while (true) {
    const int64_t left = deadline_ns_ - now_ns();
    if (left <= 0)
      throw SubjectError(
          command_, fmt::format("nothing came for {} s, and it is still running{}", allowed_seconds_, last_words()));
    // A descriptor of -1 is passed over.
    pollfd each[3] = {
        {out_ended_ ? -1 : out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}, {for_writing ? in_.get() : -1, POLLOUT, 0}};
    const auto ms = static_cast<int>(std::min<int64_t>(left / 1'000'000 + 1, 60'000));
    if (poll(each, 3, ms) < 0 && errno != EINTR)
      throw SubjectError(command_, fmt::format("its output cannot be waited for: {}", std::strerror(errno)));
    if (each[1].revents != 0) take_stderr();
    if (each[0].revents != 0 || each[2].revents != 0) return {each[0].revents != 0, each[2].revents != 0};
  }
}

/// Reads what stdout has into the buffer's free end. returns false where it ended
bool ChildProcess::fill() {
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ == buffer_.size()) buffer_.resize(2 * buffer_.size());
  const ssize_t got = ::read(out_.get(), buffer_.data() + end_, buffer_.size() - end_);
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) out_ended_ = true;
  if (got > 0) end_ += static_cast<std::size_t>(got);
  return !out_ended_;
}

bool ChildProcess::at_end() {
  while (begin_ == end_ && !out_ended_) {
    wait(false);
    fill();
  }
  return begin_ == end_;
}

void ChildProcess::read(char* to, std::size_t n) {
  while (n > 0) {
    if (begin_ < end_) {
      const std::size_t taken = std::min(n, end_ - begin_);
      std::memcpy(to, buffer_.data() + begin_, taken);
      begin_ += taken;
      to += taken;
      n -= taken;
      continue;
    }
    if (n < kReadAhead || out_ended_) {
      if (at_end()) throw SubjectError(command_, describe_end());
      continue;
    }
    wait(false);  // much is awaited: straight to where it belongs
    const ssize_t got = ::read(out_.get(), to, n);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
      out_ended_ = true;
      throw SubjectError(command_, describe_end());
    }
    if (got > 0) {
      to += got;
      n -= static_cast<std::size_t>(got);
    }
  }
}

void ChildProcess::write(const char* from, std::size_t n) {
  const NoSigpipe guard;
  while (n > 0 && in_.get() >= 0) {
    const ssize_t put = ::write(in_.get(), from, n);
    if (put > 0) {
      from += put;
      n -= static_cast<std::size_t>(put);
    } else if (errno == EAGAIN) {
      // One that talks before it has listened is read, or both would wait for ever.
      if (wait(true).readable) fill();
      if (end_ - begin_ > kMostUnasked)
        throw SubjectError(
            command_, fmt::format("wrote {} MiB to stdout that nobody asked for; print to stderr", kMostUnasked >> 20));
    } else if (errno != EINTR) {
      in_.close();
    }
  }
}

std::string ChildProcess::read_available(std::size_t n) {
  const int64_t until = now_ns() + kTextNs;
  while (end_ - begin_ < n && !out_ended_ && now_ns() < until) {
    pollfd out{out_.get(), POLLIN, 0};
    if (poll(&out, 1, static_cast<int>((until - now_ns()) / 1'000'000) + 1) > 0) fill();
  }
  const std::size_t taken = std::min(n, end_ - begin_);
  begin_ += taken;
  return {buffer_.data() + begin_ - taken, taken};
}

void ChildProcess::take_stderr() {
  char bytes[4096];
  while (err_.get() >= 0) {
    const ssize_t got = ::read(err_.get(), bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0 || (got < 0 && errno != EAGAIN)) err_.close();
    if (got <= 0) break;
    if (show_stderr_) std::fwrite(bytes, 1, static_cast<std::size_t>(got), stderr);
    stderr_tail_.append(bytes, static_cast<std::size_t>(got));
    if (stderr_tail_.size() > 2 * kKeptStderr) stderr_tail_.erase(0, stderr_tail_.size() - kKeptStderr);
  }
}

/// "; its last words: …", or nothing where it said none.
std::string ChildProcess::last_words() {
  std::vector<std::string> lines(1);
  for (const char c : stderr_tail_) {
    if (c != '\n' && c != '\r') {
      lines.back() += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    } else if (!lines.back().empty()) {
      lines.emplace_back();
    }
  }
  if (lines.back().empty()) lines.pop_back();
  if (lines.size() > kLastLines) lines.erase(lines.begin(), lines.end() - kLastLines);
  std::string words = fmt::format("{}", fmt::join(lines, " | "));
  if (words.size() > kLongestWords) words = "… " + words.substr(words.size() - kLongestWords);
  return words.empty() ? "" : "; its last words: " + words;
}

std::string ChildProcess::describe_end() {
  if (!has_ended(kEndSeconds)) return "closed its stdout, and is still running" + last_words();
  siginfo_t ended{};
  waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT);
  take_stderr();
  // A shell tells of a signal that ended what it ran by an exit status above 128.
  const bool exited = ended.si_code == CLD_EXITED;
  const int signal = !exited ? ended.si_status : ended.si_status > 128 ? ended.si_status - 128 : 0;
  std::string text = exited ? fmt::format("ended with exit status {}", ended.si_status) : "was ended by a signal";
  if (signal > 0 && signal < 65) text += fmt::format(" (signal {}, {})", signal, strsignal(signal));
  return text + last_words();
}

}  // namespace kvproof
