// The errors a caller can cause. Everything else that goes wrong is a bug of ours (TORCH_CHECK, std::logic_error).
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace kvproof {

/// Base of all errors a user can cause and mend.
///
/// kind     one lower-case word: checkpoint, tokenizer, capacity, argument (the harness adds config, record)
/// place    where it was seen: a file, "file:line:column", a tensor in a file, a flag; may be empty
/// message  what was expected, what was found and what to do next; no place, no trailing full stop
/// what()   "place: message", or the message alone where the place is empty
class Error : public std::runtime_error {
 public:
  Error(std::string kind, std::string place, std::string message)
      : std::runtime_error(place.empty() ? message : place + ": " + message),
        kind_(std::move(kind)), place_(std::move(place)), message_(std::move(message)) {}

  const std::string& kind() const { return kind_; }
  const std::string& place() const { return place_; }
  const std::string& message() const { return message_; }

 private:
  std::string kind_, place_, message_;
};

/// A checkpoint that is missing, damaged, foreign or inconsistent.
struct CheckpointError : Error {
  CheckpointError(std::string place, std::string message) : Error("checkpoint", std::move(place), std::move(message)) {}
};

/// A tokenizer file that cannot be used, or text that cannot be encoded.
struct TokenizerError : Error {
  TokenizerError(std::string place, std::string message) : Error("tokenizer", std::move(place), std::move(message)) {}
};

/// More positions than a cache or the rotary tables hold. Thrown before anything is changed.
struct CapacityError : Error {
  CapacityError(std::string place, std::string message) : Error("capacity", std::move(place), std::move(message)) {}
};

/// An argument out of its documented range.
struct ArgumentError : Error {
  ArgumentError(std::string place, std::string message) : Error("argument", std::move(place), std::move(message)) {}
};

}  // namespace kvproof
