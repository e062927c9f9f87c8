// Two programs that cannot be held against each other.
#pragma once

#include <string>
#include <utility>

#include "engine/error.h"

namespace kvproof {

/// No times of the two mean anything together: the base does not speak kvproof-measure/1, rejects the config, or reads
/// something else in it. Never a pass, and no failure of the candidate either. place: the base's command
struct IncomparableError : Error {
  IncomparableError(std::string place, std::string message)
      : Error("incomparable", std::move(place), std::move(message)) {}
};

}  // namespace kvproof
