// The end of kvproof-measure/1 that asks: one child that measures, whatever carries its bytes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/measure/paired/protocol.h"
#include "harness/subject/message.h"

namespace kvproof {

/// Who is measured: the program that all is held against, the one in question, and the base's own copy, which shows what
/// this machine calls different where nothing is.
enum class Side { base, candidate, control };
/// "base"
const char* word_of(Side side);

/// A child that was started.
struct StartedChild {
  std::unique_ptr<ByteStream> stream;
  std::string command;                                    // place of errors
  std::function<void(double seconds)> set_deadline = {};  // of all reads and writes from now on; empty: there are none
};

/// Starts a program as a process of its own: ChildProcess.
StartedChild start_process(const std::string& command);

/// `kvproof subject --config …` as a shell reads it.
/// program  path of a kvproof; config  path of the YAML
std::string measure_command(const std::string& program, const std::string& config,
                            const std::vector<std::string>& sets);

/// Starts the process of a side: PairedSpec's way to its children. Each argument is a command, as of measure_command.
std::function<StartedChild(Side)> starter_of(std::string base, std::string candidate, std::string control);

/// How long each request may take.
struct MeasureDeadlines {
  double hello_s = 60, open_s = 900, epoch_s = 900;
};

/// Errors are SubjectErrors with the command as place, and side, request and what came in the message; IncomparableErrors
/// where it is the base whose hello failed.
class MeasureChild {
 public:
  /// Says hello. throws as above: it does not speak the protocol, or rejects the config
  MeasureChild(Side side, StartedChild child, const MeasureDeadlines& deadlines = {});

  Side side() const { return side_; }
  const std::string& command() const { return child_.command; }
  const MeasureHello& hello() const { return hello_; }

  CaseFacts open(const std::string& id, const WarmUp& warm_up);
  /// Of the case that is open. An answer that is not as long as was asked is an error.
  EpochTimes epoch(const std::string& id, const Timed& timed, const EpochLength& length);
  void close(const std::string& id);

 private:
  nlohmann::json ask(nlohmann::json request, const std::string& what, double seconds);
  template <class Look>
  auto interpret(const std::string& what, Look&& look) const;
  [[noreturn]] void fail(const std::string& what, const std::string& message) const;
  void say_hello();

  Side side_;
  StartedChild child_;
  MeasureDeadlines deadlines_;
  MeasureHello hello_;
  int64_t next_id_ = 1;
};

/// Whether times of the two mean anything together.
/// throws IncomparableError: they read another config, or were compiled otherwise (place: the base's command)
void require_comparable(const MeasureChild& base, const MeasureChild& candidate);

}  // namespace kvproof
