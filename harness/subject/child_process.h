// A child process whose stdin and stdout are ours. POSIX.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/subject/message.h"

namespace kvproof {

class ChildProcess : public ByteStream {
 public:
  /// Runs `command` by /bin/sh -c in a process group of its own. What it writes to stderr is kept (the last 8 KiB), and passed
  /// on to our stderr where `show_stderr`.
  /// throws SubjectError: no process could be made
  explicit ChildProcess(std::string command, bool show_stderr = false);
  /// Closes its stdin, waits for 2 s, then kills the whole group.
  ~ChildProcess() override;

  /// Of every read and write from now on, until the next call: so many seconds altogether.
  void set_deadline(double seconds);
  void read(char* to, std::size_t n) override;
  void write(const char* from, std::size_t n) override;
  std::string read_available(std::size_t n) override;

  void kill();
  bool running();
  /// How it ended, with the last lines of its stderr: "ended with exit status 1; its last words: …". Waits up to 1 s.
  std::string describe_end();
  const std::string& command() const { return command_; }

 private:
  std::string command_;
  // (the helper who writes this fills in what it needs)
};

}  // namespace kvproof
