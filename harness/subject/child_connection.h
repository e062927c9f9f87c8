// One child after another behind a subject: requests and answers, and what is done when a child breaks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/error.h"
#include "harness/subject/child_process.h"
#include "harness/subject/child_subject.h"
#include "harness/subject/hello.h"
#include "harness/subject/json_fields.h"

namespace kvproof {

/// All errors are SubjectErrors with the command as place and the request in the message, or CapacityErrors.
class ChildConnection {
 public:
  /// Starts a child. throws SubjectError
  explicit ChildConnection(ChildOptions options);

  const Hello& hello() const { return hello_; }
  const ChildOptions& options() const { return options_; }
  int64_t restarts() const { return restarts_; }
  /// Counts the children: what belonged to an earlier one is gone.
  int64_t generation() const { return generation_; }
  bool alive() const { return process_ != nullptr; }
  /// Counts the requests that may have changed a cache, whichever it was.
  int64_t changes() const { return changes_; }

  /// Starts a new child where the last one broke. throws SubjectError: it cannot be, or 20 broke in a row
  void revive();
  /// Sends a request ({"op", …}) and returns its answer. what: the request in words, for errors.
  /// A child that dies, hangs or answers something else is ended. throws SubjectError, CapacityError
  WireMessage call(nlohmann::json request, const std::string& what);
  /// Runs something that looks into an answer; its ArgumentErrors and SubjectErrors get place and request.
  template <class Look>
  auto interpret(const std::string& what, Look&& look);

  /// "elapsed_ns" of an answer, if it is there; of the latest forward.
  void note_elapsed(const WireMessage& answer, const std::string& what);
  std::optional<int64_t> elapsed_ns;

  [[noreturn]] void fail(const std::string& what, const std::string& message) const;
  /// throws SubjectError unless it can
  void require(Ability ability, const std::string& what) const;
  bool can(Ability ability) const { return hello_.info.can.has(ability); }

  void set_threads(int threads);

 private:
  void start();
  void give_up();
  WireMessage exchange(const nlohmann::json& request, const std::string& what, double seconds);
  void check_error(const WireMessage& answer, const std::string& what);

  ChildOptions options_;
  std::unique_ptr<ChildProcess> process_;  // null: the last one broke
  Hello hello_;
  std::optional<int> threads_;  // set here, for the next child too
  int64_t restarts_ = 0, in_a_row_ = 0, generation_ = 0, next_id_ = 1, changes_ = 0;
};

template <class Look>
auto ChildConnection::interpret(const std::string& what, Look&& look) {
  try {
    return look();
  } catch (const CapacityError&) {
    throw;
  } catch (const Error& error) {
    if (error.place() == options_.command) throw;
    fail(what, error.what());
  }
}

/// Logits as numbers. throws SubjectError: they are no floating-point numbers, or fewer bits than the dtype that hello said
std::vector<double> logits_of(const WireTensor& tensor, const std::string& dtype);

}  // namespace kvproof
