// The tool a model may call between <|python_start|> and <|python_end|>: arithmetic and counting letters.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace kvproof {

/// Evaluates what nanochat's use_calculator accepts; never a general eval.
///
/// expression  text between the delimiters. Commas are removed first. If only `0123456789*+-/.() ` remain: arithmetic
///             without `**`, Python semantics (`/` gives a float, `//` floors, ints unbounded). Else: a quoted literal,
///             optionally parenthesised or lower()ed or upper()ed, then .count(literal).
///             Text counts as Python's does: a needle's places do not overlap, an empty one gives length + 1.
/// returns     Python's str() of the result, or nothing where Python fails, refuses or would run too long; nothing also
///             for Python's other values: `()`, `...`, prefixed literals, other methods
/// throws      nothing but std::bad_alloc
/// cost        bounded (worst seen 2 ms): at most kMaxCalculatorDigits digits in any number and kMaxCalculatorLength
///             bytes of expression
std::optional<std::string> evaluate_calculator(std::string_view expression);

inline constexpr std::size_t kMaxCalculatorLength = 4096;
inline constexpr std::size_t kMaxCalculatorDigits = 4300;  // Python's own limit on int-to-str conversion

}  // namespace kvproof
