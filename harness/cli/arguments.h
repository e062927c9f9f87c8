// The words of one command line: declared on a CLI11 app, converted here so that every complaint has the same form.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace CLI {
class App;
}

namespace kvproof::cli {

/// How a complaint about an unknown word ends: `, did you mean "x"?`, or "; " and something else where no known word is near.
std::string suggestion(const std::string& word, const std::vector<std::string>& known, const std::string& otherwise);

/// Declares "--name <placeholder>". Read it through Arguments.
void add_value(CLI::App& app, const std::string& name, const std::string& placeholder, const std::string& help);
/// The same, for a flag that may be given several times.
void add_list(CLI::App& app, const std::string& name, const std::string& placeholder, const std::string& help);
/// Declares a flag without a value.
void add_toggle(CLI::App& app, const std::string& name, const std::string& help);
/// Declares a word without a flag, such as CONFIG.
void add_positional(CLI::App& app, const std::string& name, const std::string& help);
/// The same, for any number of words; texts reads them.
void add_positionals(CLI::App& app, const std::string& name, const std::string& help);

/// What was given to one command. All functions take the name as declared ("--seed", "CONFIG"), return nothing (or the
/// fallback) where it was left out, and throw ArgumentError with that name as the place.
class Arguments {
 public:
  /// app must outlive this.
  explicit Arguments(const CLI::App& app) : app_(&app) {}

  bool given(const std::string& name) const;
  /// throws also where a flag is given twice
  std::optional<std::string> text(const std::string& name) const;
  /// throws also where it is missing; `what` completes "is missing: give …"
  std::string required(const std::string& name, const std::string& what) const;
  std::vector<std::string> texts(const std::string& name) const;
  std::optional<int64_t> integer(const std::string& name, int64_t low, int64_t high) const;
  /// A seed: any integer of 64 bits without sign.
  std::optional<uint64_t> unsigned_integer(const std::string& name) const;
  /// A finite number that is at least `low`.
  std::optional<double> number(const std::string& name, double low) const;
  /// One of a few words; another is an error with "did you mean".
  std::optional<std::string> word(const std::string& name, const std::vector<std::string>& allowed) const;
  /// Integers separated by commas, at least one.
  std::vector<int64_t> integers(const std::string& name, int64_t low,
                                int64_t high = std::numeric_limits<int64_t>::max()) const;
  /// Token ids separated by commas, at least one; ids past the vocabulary are for check_token_ids.
  std::vector<int32_t> token_ids(const std::string& name) const;
  /// "k=v,k=v", from every occurrence of the flag.
  std::vector<std::pair<std::string, std::string>> pairs(const std::string& name) const;

  /// The flags of the command, for suggestions: "--seed", …
  std::vector<std::string> flag_names() const;

 private:
  const CLI::App* app_;
};

/// throws ArgumentError(place) unless every id lies in [0, vocab_size)
void check_token_ids(const std::vector<int32_t>& ids, int64_t vocab_size, const std::string& place);

/// throws ArgumentError(place) unless the text is UTF-8
void check_utf8(const std::string& text, const std::string& place);

}  // namespace kvproof::cli
