// The answer to `hello`: who a subject is and what it can do, in both directions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/subject/subject.h"

namespace kvproof {

struct Hello {
  SubjectInfo info;
  std::vector<std::string> dtypes;  // it can run in, its own among them
};

nlohmann::json hello_header(const Hello& hello);

/// What is left out gets the protocol's defaults.
/// throws ArgumentError: a field is missing, out of range, or contradicts another (place: the field)
Hello parse_hello(const nlohmann::json& header);

/// As an answer says it, in the order of the enumeration; and back.
std::vector<std::string> words_of(Abilities abilities);

}  // namespace kvproof
