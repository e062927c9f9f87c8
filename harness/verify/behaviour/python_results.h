// What Python makes of the calculator's expressions: a second opinion that no calculator of ours has had a hand in.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace kvproof {

struct PythonResult {
  std::string_view expression;
  std::string_view result;  // empty: none, for Python fails or the tool refuses

  std::optional<std::string> text() const { return result.empty() ? std::nullopt : std::optional<std::string>(result); }
};

/// CPython 3.11.7 behind nanochat's filters, from tests/data/calculator/cases.json: those of at most 48 characters.
std::span<const PythonResult> python_results();

/// One of them; null where there is no such expression.
const PythonResult* find_python_result(std::string_view expression);

}  // namespace kvproof
