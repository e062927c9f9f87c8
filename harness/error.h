// The harness's own errors, and the exit code each kind of failure ends in.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include "engine/error.h"

namespace kvproof {

/// A config file or a --set that cannot be used; place is file:line:column or "--set a.b".
struct ConfigError : Error {
  ConfigError(std::string place, std::string message) : Error("config", std::move(place), std::move(message)) {}
};

/// A record that cannot be read or written.
struct RecordError : Error {
  RecordError(std::string place, std::string message) : Error("record", std::move(place), std::move(message)) {}
};

/// An engine in a child process that cannot be started, died, hung or broke the protocol; place is its command.
struct SubjectError : Error {
  SubjectError(std::string place, std::string message) : Error("subject", std::move(place), std::move(message)) {}
};

/// Nothing to hold a result against; place is the name that was asked for.
struct NoBaselineError : Error {
  NoBaselineError(std::string place, std::string message)
      : Error("no_baseline", std::move(place), std::move(message)) {}
};

/// What an exception says inside a report: its first line, without stack traces; a subject's without its place, which is the
/// same command for all of them.
std::string words_of(const std::exception& error);

bool is_subject_error(const std::exception& error);

enum class ExitCode : int {
  ok = 0, regression = 1, usage = 2, inconclusive = 3, no_baseline = 4, disagree = 5, failed = 6, bug = 70,
  interrupted = 130  // ended by Ctrl-C, as a shell would say; no failure of ours and none of the data
};

/// Config and argument errors: usage. Of kind "no_baseline" or "incomparable": no_baseline. Of kind "interrupted": that.
/// Checkpoint, tokenizer, capacity, record and subject errors: failed.
ExitCode exit_code_of(const Error& error);

/// Of two outcomes the one that is reported: the first of 70, 2, 5, 6, 4, 1, 3, 0.
ExitCode worse(ExitCode a, ExitCode b);

}  // namespace kvproof
