#include "engine/tokenizer/split_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "engine/checkpoint/text.h"
#include "engine/error.h"

namespace kvproof {
namespace {

// What Rust's regex crate takes for a word character (Unicode's UTS 18, annex C).
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control})";
// Escapes of a letter that mean the same to both; every other letter is translated or refused.
constexpr std::string_view kSameEscapes = "rnftapPdDxAz";
constexpr std::string_view kNotOnigurumas = "wWx";  // its own word characters; bytes where PCRE2 has code points
constexpr std::string_view kGroups[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:"};  // that all read alike

constexpr std::size_t kJitStackStart = 32 << 10, kJitStackMost = 16 << 20;  // reserved, not touched
constexpr uint32_t kHeapLimitKib = 512 * 1024;  // of the interpreter that takes over where the stack is too small
// Steps of backtracking in one match. A run of spaces costs nanochat's pattern about one per byte; what needs more than
// 64 is not linear.
constexpr uint64_t kStepsAtLeast = 10'000'000, kStepsPerByte = 64;

std::string pcre2_message(int code) {
  PCRE2_UCHAR8 buffer[256];
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

bool is_ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// What messages call a pattern, and who reads it.
struct DialectWords {
  const char *field, *reader, *advice;
};
DialectWords words_of(Dialect dialect) {
  if (dialect == Dialect::tiktoken) return {"pat_str", "tiktoken", "use a tokenizer.pkl that nanochat wrote"};
  return {"the pattern", "Hugging Face's tokenizers", "use nanochat's own pattern"};
}

/// Writes a pattern of another engine's as one of PCRE2's, in one pass that only knows escapes and classes.
class Translator {
 public:
  Translator(std::string_view pattern, const std::string& place, Dialect dialect)
      : pattern_(pattern), place_(place), dialect_(dialect) {
    while (at_ < pattern_.size()) step();
  }

  const std::string& result() const { return result_; }
  /// The byte of the original from which this byte of the result comes.
  std::size_t origin(std::size_t offset) const { return offset < origins_.size() ? origins_[offset] : pattern_.size(); }

 private:
  void step() {
    if (pattern_[at_] == '\\') return escape();
    if (!in_class_) {
      if (pattern_[at_] == '[') return open_class();
      if (dialect_ == Dialect::oniguruma) check_oniguruma();
      return copy(1);
    }
    for (const std::string_view operation : {"&&", "--", "~~", "["}) {
      if (pattern_.substr(at_, operation.size()) == operation) refuse(operation, " inside a class");
    }
    if (pattern_[at_] == ']') in_class_ = false;
    copy(1);
  }

  // Ruby's syntax: ^ and $ are lines' ends, (?m) is another flag and (?i) reaches further, {2}+ is a repeat of a repeat.
  void check_oniguruma() const {
    const std::string_view rest = pattern_.substr(at_);
    for (const std::string_view different : {"^", "$", "}+", "}?", "{,"}) {
      if (rest.substr(0, different.size()) == different) refuse(different, "");
    }
    const auto begins = [&](std::string_view group) { return rest.substr(0, group.size()) == group; };
    if (begins("(?") && std::none_of(std::begin(kGroups), std::end(kGroups), begins)) refuse(rest.substr(0, 3), "");
  }

  void open_class() {
    in_class_ = true;
    copy(1);
    if (pattern_.substr(at_, 1) == "^") copy(1);
    if (pattern_.substr(at_, 1) == "]") copy(1);  // first in a class it is a member
  }

  void escape() {
    const std::string_view escape = pattern_.substr(at_, 2);
    const char c = escape.size() == 2 ? escape[1] : '\0';
    if (dialect_ == Dialect::oniguruma && c != '\0' && kNotOnigurumas.find(c) != std::string_view::npos) refuse(escape, "");
    if (c == 's') return replace(2, R"(\p{White_Space})");
    if (c == 'S') return replace(2, R"(\P{White_Space})");
    if (c == 'v') return replace(2, R"(\x0b)");
    if (c == 'w') return replace(2, in_class_ ? std::string(kWord) : fmt::format("[{}]", kWord));
    if (c == 'W' && !in_class_) return replace(2, fmt::format("[^{}]", kWord));
    if (is_ascii_letter(c) && kSameEscapes.find(c) == std::string_view::npos) {
      refuse(escape, in_class_ ? " inside a class" : "");
    }
    copy(escape.size());
    if ((c == 'p' || c == 'P') && pattern_.substr(at_, 1) == "{")  // \p{L}: these braces repeat nothing
      copy(std::min(pattern_.find('}', at_), pattern_.size() - 1) + 1 - at_);
  }

  void copy(std::size_t count) { replace(count, std::string(pattern_.substr(at_, count))); }

  void replace(std::size_t count, const std::string& by) {
    result_ += by;
    origins_.resize(result_.size(), at_);
    at_ += count;
  }

  [[noreturn]] void refuse(std::string_view what, std::string_view where) const {
    const auto words = words_of(dialect_);
    throw TokenizerError(place_, fmt::format("{} has {}{} at byte {}, which {} and PCRE2 read differently; write it "
                                             "without, as nanochat's own patterns are",
                                             words.field, what, where, at_, words.reader));
  }

  std::string_view pattern_;
  const std::string& place_;
  Dialect dialect_;
  std::size_t at_ = 0;
  bool in_class_ = false;
  std::string result_;
  std::vector<std::size_t> origins_;
};

template <auto kFree>
struct Free {
  template <class T>
  void operator()(T* pointer) const {
    kFree(pointer);
  }
};
using Code = std::unique_ptr<pcre2_code, Free<pcre2_code_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Free<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Free<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Free<pcre2_match_data_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Free<pcre2_jit_stack_free>>;

}  // namespace

struct SplitPattern::Compiled {
  std::string place;
  Dialect dialect;
  Code code;
};

SplitPattern::SplitPattern(std::string_view pattern, std::string place, Jit jit, Dialect dialect)
    : compiled_(std::make_unique<Compiled>()) {
  compiled_->place = std::move(place);
  compiled_->dialect = dialect;
  const Translator translator(pattern, compiled_->place, dialect);
  const CompileContext context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);  // what "." does not match
  int error = 0;
  PCRE2_SIZE offset = 0;
  compiled_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translator.result().data()),
                                      translator.result().size(), PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &error,
                                      &offset, context.get()));
  if (!compiled_->code) {
    throw TokenizerError(compiled_->place,
                         fmt::format("{} is not a pattern that PCRE2 can compile: {}, at byte {} of {}; {}",
                                     words_of(dialect).field, pcre2_message(error), translator.origin(offset),
                                     quote(pattern), words_of(dialect).advice));
  }
  // Where PCRE2 has no JIT, or none for this pattern, its interpreter finds the same matches, more slowly.
  if (jit == Jit::kIfAvailable) pcre2_jit_compile(compiled_->code.get(), PCRE2_JIT_COMPLETE);
}

SplitPattern::SplitPattern(SplitPattern&&) noexcept = default;
SplitPattern& SplitPattern::operator=(SplitPattern&&) noexcept = default;
SplitPattern::~SplitPattern() = default;

std::vector<std::string_view> SplitPattern::split(std::string_view text) const {
  const pcre2_code* code = compiled_->code.get();
  const JitStack stack(pcre2_jit_stack_create(kJitStackStart, kJitStackMost, nullptr));
  const MatchContext context(pcre2_match_context_create(nullptr));
  const MatchData match(pcre2_match_data_create_from_pattern(code, nullptr));
  pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  pcre2_set_match_limit(context.get(), static_cast<uint32_t>(std::min<uint64_t>(
                                           kStepsAtLeast + kStepsPerByte * text.size(), UINT32_MAX)));

  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const auto match_at = [&](std::size_t at, uint32_t options) {
    // Without NO_UTF_CHECK every match would read the whole text again: quadratic.
    return pcre2_match(code, subject, text.size(), at, PCRE2_NO_UTF_CHECK | options, match.get(), context.get());
  };
  std::vector<std::string_view> pieces;
  std::size_t kept = 0;  // the end of the last match
  const auto keep_between = [&](std::size_t end) {
    if (compiled_->dialect == Dialect::oniguruma && end > kept) pieces.push_back(text.substr(kept, end - kept));
  };
  std::size_t at = 0;
  while (at < text.size()) {
    int found = match_at(at, 0);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match_at(at, PCRE2_NO_JIT);  // keeps its state on the heap
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) {
      throw TokenizerError(compiled_->place,
                           fmt::format("{} cannot be matched at byte {} of a text of {} bytes: {}; shorten the "
                                       "text, or use nanochat's pattern, which is linear",
                                       words_of(compiled_->dialect).field, at, text.size(), pcre2_message(found)));
    }
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match.get());
    keep_between(bounds[0]);
    kept = at = bounds[1];
    if (bounds[0] < bounds[1]) {
      pieces.push_back(text.substr(bounds[0], bounds[1] - bounds[0]));
    } else {
      do ++at;
      while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
    }
  }
  keep_between(text.size());
  return pieces;
}

}  // namespace kvproof
