#include "harness/error.h"

#include <algorithm>
#include <array>

namespace kvproof {

bool is_subject_error(const std::exception& error) { return dynamic_cast<const SubjectError*>(&error) != nullptr; }

std::string words_of(const std::exception& error) {
  const auto* subject = dynamic_cast<const SubjectError*>(&error);
  const std::string words = subject ? subject->message() : error.what();
  return words.substr(0, words.find('\n'));
}

ExitCode exit_code_of(const Error& error) {
  const std::string& kind = error.kind();
  if (kind == "config" || kind == "argument") return ExitCode::usage;
  if (kind == "no_baseline" || kind == "incomparable") return ExitCode::no_baseline;
  if (kind == "interrupted") return ExitCode::interrupted;
  return ExitCode::failed;
}

ExitCode worse(ExitCode a, ExitCode b) {
  constexpr std::array kOrder = {ExitCode::interrupted, ExitCode::bug,        ExitCode::usage,      ExitCode::disagree,     ExitCode::failed,
                                 ExitCode::no_baseline, ExitCode::regression, ExitCode::inconclusive, ExitCode::ok};
  return *std::find_if(kOrder.begin(), kOrder.end(), [&](ExitCode code) { return code == a || code == b; });
}

}  // namespace kvproof
