#include "engine/generate/calculator.h"

#include <algorithm>
#include <array>
#include <boost/multiprecision/cpp_int.hpp>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <variant>

namespace kvproof {
namespace {

using Integer = boost::multiprecision::cpp_int;
using Number = std::variant<Integer, double>;

// A sum, product or quotient of literals has no more digits than the literals have together, so the bound on the
// expression's length is the bound on every number's digits.
static_assert(kMaxCalculatorLength <= kMaxCalculatorDigits);

// CPython's tokenizer refuses more; it also keeps our recursion shallow.
// differs from nanochat: a syntax tree of some 3000 levels, which CPython gives up on, is evaluated; where exactly it
// does depends on its caller's stack.
constexpr int kMaxNestedParentheses = 200;

// Thrown inside this file wherever Python would raise or the form is not supported.
struct NoResult {};

// ---- numbers -------------------------------------------------------------------------------------------------------

// The double nearest to n / d, ties to even, as Python divides integers of any size; NoResult past the largest double.
double true_divide(const Integer& n, const Integer& d) {
  if (d.is_zero()) throw NoResult{};
  const bool negative = (n < 0) != (d < 0);  // Python's 0 / -5 is -0.0
  if (n.is_zero()) return negative ? -0.0 : 0.0;
  const Integer a = abs(n), b = abs(d);

  // quotient * 2^scale is |n / d| cut to 56 to 58 bits, or to two bits below the last one a subnormal has.
  const auto ratio_bits = static_cast<int64_t>(msb(a)) - static_cast<int64_t>(msb(b));
  const int64_t scale = std::max<int64_t>(ratio_bits - 56, -1076);
  Integer quotient, remainder;
  if (scale < 0) {
    divide_qr(Integer(a << -scale), b, quotient, remainder);
  } else {
    divide_qr(a, Integer(b << scale), quotient, remainder);
  }
  auto bits = quotient.convert_to<uint64_t>();
  if (!remainder.is_zero()) bits |= 1;  // what was cut off decides only whether a tie is one

  int width = 0;
  while (width < 64 && (bits >> width) != 0) ++width;
  const int64_t drop = std::max<int64_t>(width - 53, -1074 - scale);  // at least 2, so bit 0 is below the half
  const uint64_t half = uint64_t{1} << (drop - 1), rest = bits & (2 * half - 1);
  uint64_t mantissa = bits >> drop;
  if (rest > half || (rest == half && mantissa % 2 == 1)) ++mantissa;
  const double magnitude = std::ldexp(static_cast<double>(mantissa), static_cast<int>(scale + drop));
  if (std::isinf(magnitude)) throw NoResult{};
  return negative ? -magnitude : magnitude;
}

double to_double(const Number& x) {
  if (const auto* value = std::get_if<double>(&x)) return *value;
  return true_divide(std::get<Integer>(x), 1);
}

Integer floor_divide(const Integer& n, const Integer& d) {
  if (d.is_zero()) throw NoResult{};
  Integer quotient, remainder;
  divide_qr(n, d, quotient, remainder);  // rounds towards zero
  if (!remainder.is_zero() && (remainder < 0) != (d < 0)) --quotient;
  return quotient;
}

// Python derives // from the exact remainder, so that n // d agrees with n % d: floor(n / d) differs for 1 // 0.1.
double floor_divide(double n, double d) {
  if (d == 0) throw NoResult{};
  const double remainder = std::fmod(n, d);
  double quotient = (n - remainder) / d;
  if (remainder != 0 && (remainder < 0) != (d < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, n / d);
  const double floored = std::floor(quotient);  // the quotient is whole but for rounding
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

enum class Operator { add, subtract, multiply, divide, floor_divide };

Number apply(Operator op, const Integer& a, const Integer& b) {
  switch (op) {
    case Operator::add:
      return Integer(a + b);
    case Operator::subtract:
      return Integer(a - b);
    case Operator::multiply:
      return Integer(a * b);
    case Operator::divide:
      return true_divide(a, b);
    case Operator::floor_divide:
      return floor_divide(a, b);
  }
  std::abort();
}

Number apply(Operator op, double a, double b) {
  switch (op) {
    case Operator::add:
      return a + b;
    case Operator::subtract:
      return a - b;
    case Operator::multiply:
      return a * b;
    case Operator::divide:
      if (b == 0) throw NoResult{};
      return a / b;
    case Operator::floor_divide:
      return floor_divide(a, b);
  }
  std::abort();
}

Number apply(Operator op, const Number& a, const Number& b) {
  const auto *m = std::get_if<Integer>(&a), *n = std::get_if<Integer>(&b);
  return m && n ? apply(op, *m, *n) : apply(op, to_double(a), to_double(b));
}

// Python's repr: the shortest digits that read back as x, with an exponent below 1e-4 and from 1e16 on.
std::string float_repr(double x) {
  if (std::isnan(x)) return "nan";
  if (std::isinf(x)) return x < 0 ? "-inf" : "inf";
  const bool scientific = x != 0 && (std::abs(x) < 1e-4 || std::abs(x) >= 1e16);
  std::array<char, 64> buffer;
  const auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), x, format).ptr;
  std::string text(buffer.data(), end);
  if (!scientific && text.find('.') == std::string::npos) text += ".0";
  return text;
}

// ---- text ----------------------------------------------------------------------------------------------------------

class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  std::string_view rest() const { return text_.substr(at_); }

  void skip_spaces() {
    while (rest().starts_with(' ')) ++at_;
  }

  bool take(std::string_view token) {
    if (!rest().starts_with(token)) return false;
    at_ += token.size();
    return true;
  }

  bool take_token(std::string_view token) {
    skip_spaces();
    return take(token);
  }

  void expect_token(std::string_view token) {
    if (!take_token(token)) throw NoResult{};
  }

  void expect_end() {
    skip_spaces();
    if (!rest().empty()) throw NoResult{};
  }

  // An open parenthesis was taken: count it until close().
  void open() {
    if (++depth_ > kMaxNestedParentheses) throw NoResult{};
  }

  void close() {
    expect_token(")");
    --depth_;
  }

  std::string_view take_digits() {
    const auto digits = rest().substr(0, rest().find_first_not_of("0123456789"));
    at_ += digits.size();
    return digits;
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

// differs from nanochat: `...` is a value in Python, here it is no number; so is `()`, here an empty sum.
Number number(Cursor& cursor) {
  const auto start = cursor.rest();
  const auto whole = cursor.take_digits();
  const bool zero = whole.find_first_not_of('0') == std::string_view::npos;
  if (!cursor.take(".")) {
    if (whole.empty() || (!zero && whole[0] == '0')) throw NoResult{};  // Python refuses 007
    return zero ? Integer(0) : Integer(std::string(whole));             // zeros ahead would read as octal
  }
  const auto fraction = cursor.take_digits();
  if (whole.empty() && fraction.empty()) throw NoResult{};
  double value = 0;
  const auto literal = start.substr(0, whole.size() + 1 + fraction.size());
  const auto [end, error] = std::from_chars(literal.data(), literal.data() + literal.size(), value);
  // Only the side is lost: Python reads too large a literal as inf and too small a one as 0.
  if (error == std::errc::result_out_of_range) return zero ? 0.0 : std::numeric_limits<double>::infinity();
  return value;
}

Number sum(Cursor& cursor);

// Any number of signs, then a number or a parenthesised sum. The signs are a loop: thousands must not recurse.
Number factor(Cursor& cursor) {
  bool negative = false;
  for (;;) {
    if (cursor.take_token("-")) {
      negative = !negative;
    } else if (!cursor.take_token("+")) {
      break;
    }
  }
  Number value;
  if (cursor.take_token("(")) {
    cursor.open();
    value = sum(cursor);
    cursor.close();
  } else {
    value = number(cursor);
  }
  if (!negative) return value;
  if (const auto* integer = std::get_if<Integer>(&value)) return Integer(-*integer);
  return -std::get<double>(value);
}

Number product(Cursor& cursor) {
  Number left = factor(cursor);
  for (;;) {
    if (cursor.take_token("*")) {
      left = apply(Operator::multiply, left, factor(cursor));
    } else if (cursor.take_token("//")) {
      left = apply(Operator::floor_divide, left, factor(cursor));
    } else if (cursor.take_token("/")) {
      left = apply(Operator::divide, left, factor(cursor));
    } else {
      return left;
    }
  }
}

Number sum(Cursor& cursor) {
  Number left = product(cursor);
  for (;;) {
    if (cursor.take_token("+")) {
      left = apply(Operator::add, left, product(cursor));
    } else if (cursor.take_token("-")) {
      left = apply(Operator::subtract, left, product(cursor));
    } else {
      return left;
    }
  }
}

// ---- counting letters ----------------------------------------------------------------------------------------------

// A string, or the number a count() gave.
using TextOrCount = std::variant<std::string, std::size_t>;

// Python's str.count: places that do not overlap; the empty needle fits before each character and at the end.
std::size_t count(const std::string& text, const std::string& needle) {
  if (needle.empty()) return text.size() + 1;
  std::size_t found = 0;
  for (auto at = text.find(needle); at != std::string::npos; at = text.find(needle, at + needle.size())) ++found;
  return found;
}

// One or more literals side by side, which Python joins. No backslash and no newline can occur.
// differs from nanochat: literals with a prefix (r'', u'', b'', f'') are not supported.
std::string literals(Cursor& cursor) {
  std::string text;
  bool any = false;
  for (;;) {
    cursor.skip_spaces();
    std::string_view quote;
    for (const std::string_view candidate : {"'''", "\"\"\"", "'", "\""}) {
      if (quote.empty() && cursor.take(candidate)) quote = candidate;
    }
    if (quote.empty()) break;
    const auto body = cursor.rest().substr(0, cursor.rest().find(quote));
    cursor.take(body);
    if (!cursor.take(quote)) throw NoResult{};
    text += body;
    any = true;
  }
  if (!any) throw NoResult{};
  return text;
}

const std::string& text_of(const TextOrCount& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  throw NoResult{};
}

std::string mapped(std::string text, char first, char last, int shift) {
  for (char& c : text) {
    if (c >= first && c <= last) c = static_cast<char>(c + shift);
  }
  return text;
}

// Literals or a parenthesised text, then any number of .lower(), .upper() and .count(text).
// differs from nanochat: Python evaluates any expression of the allowed characters, such as ().count('a').
TextOrCount text(Cursor& cursor) {
  TextOrCount value;
  if (cursor.take_token("(")) {
    cursor.open();
    value = text(cursor);
    cursor.close();
  } else {
    value = literals(cursor);
  }
  while (cursor.take_token(".")) {
    cursor.skip_spaces();
    const bool lower = cursor.take("lower"), upper = !lower && cursor.take("upper");
    if (!lower && !upper) cursor.expect_token("count");
    cursor.expect_token("(");
    cursor.open();
    if (lower || upper) {
      value = lower ? mapped(text_of(value), 'A', 'Z', 'a' - 'A') : mapped(text_of(value), 'a', 'z', 'A' - 'a');
    } else {
      const auto needle = text(cursor);
      value = count(text_of(value), text_of(needle));
    }
    cursor.close();
  }
  return value;
}

// nanochat's blocklist, matched anywhere in the lowered text, inside quotes too: 'profile' holds one of them.
bool is_text_allowed(const std::string& expression) {
  static constexpr std::string_view kCharacters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'\"()._ ";
  static constexpr std::string_view kWords[] = {"__",   "import",  "exec",      "eval",    "compile", "open",
                                                "file", "input",   "raw_input", "globals", "locals",  "vars",
                                                "dir",  "getattr", "setattr",   "delattr", "hasattr"};
  if (expression.find_first_not_of(kCharacters) != std::string::npos) return false;
  const auto lowered = mapped(expression, 'A', 'Z', 'a' - 'A');
  return std::none_of(std::begin(kWords), std::end(kWords),
                      [&](std::string_view word) { return lowered.find(word) != std::string::npos; });
}

std::string evaluate_arithmetic(const std::string& expression) {
  Cursor cursor(expression);
  const Number value = sum(cursor);
  cursor.expect_end();
  if (const auto* integer = std::get_if<Integer>(&value)) return integer->str();
  return float_repr(std::get<double>(value));
}

std::string evaluate_count(const std::string& expression) {
  Cursor cursor(expression);
  const auto value = text(cursor);
  cursor.expect_end();
  if (const auto* found = std::get_if<std::size_t>(&value)) return std::to_string(*found);
  throw NoResult{};  // a text alone: '.count(' passes nanochat's test and is no count
}

}  // namespace

std::optional<std::string> evaluate_calculator(std::string_view expression) {
  if (expression.size() > kMaxCalculatorLength) return std::nullopt;
  std::string bare(expression);
  std::erase(bare, ',');
  try {
    if (bare.find_first_not_of("0123456789*+-/.() ") == std::string::npos) {
      if (bare.find("**") != std::string::npos) return std::nullopt;
      return evaluate_arithmetic(bare);
    }
    if (!is_text_allowed(bare) || bare.find(".count(") == std::string::npos) return std::nullopt;
    return evaluate_count(bare);
  } catch (const NoResult&) {
    return std::nullopt;
  }
}

}  // namespace kvproof
