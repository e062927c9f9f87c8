// A child process whose stdin and stdout are ours. POSIX.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "harness/subject/message.h"

namespace kvproof {

/// An open file descriptor of ours that no child inherits.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;

  int get() const { return fd_; }  // -1: none
  void close();

 private:
  int release();
  int fd_;
};

class ChildProcess : public ByteStream {
 public:
  /// Runs `command` by /bin/sh -c in a process group of its own. What it writes to stderr is kept (the last 8 KiB), and passed
  /// on to our stderr where `show_stderr`. Should we die, by whatever signal, the group is killed.
  /// throws SubjectError: no process could be made
  explicit ChildProcess(std::string command, bool show_stderr = false);
  /// Closes its stdin, waits for 2 s, then kills the whole group.
  ~ChildProcess() override;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Of every read and write from now on, until the next call: so many seconds altogether.
  void set_deadline(double seconds);
  bool at_end() override;
  void read(char* to, std::size_t n) override;
  /// A child that no longer listens is no error here: the next read finds out what it said instead, or how it ended.
  void write(const char* from, std::size_t n) override;
  std::string read_available(std::size_t n) override;

  void kill();
  bool running();
  /// How it ended, with the last lines of its stderr: "ended with exit status 1; its last words: …". Waits up to 1 s.
  std::string describe_end();
  const std::string& command() const { return command_; }

 private:
  void start(Descriptor in, Descriptor out, Descriptor err);
  void start_guard();
  bool has_ended(double wait_seconds);
  /// Waits until stdout has something, or stdin takes something, keeping stderr empty. throws SubjectError: the deadline
  struct Ready {
    bool readable, writable;
  };
  Ready wait(bool for_writing);
  bool wait_for_output(int64_t until_ns);
  bool fill();
  void take_stderr();
  std::string last_words();

  std::string command_;
  bool show_stderr_;
  pid_t pid_ = -1, guard_ = -1;       // the guard kills the child's group when `life_` is closed
  Descriptor in_, out_, err_, life_;  // our ends
  bool out_ended_ = false;
  std::vector<char> buffer_;  // read from stdout and not yet asked for: [begin_, end_)
  std::size_t begin_ = 0, end_ = 0;
  std::string stderr_tail_;
  double allowed_seconds_ = 0;
  int64_t deadline_ns_;
};

}  // namespace kvproof
