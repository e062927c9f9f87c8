#include "harness/cli/arguments.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "engine/error.h"
#include "engine/tokenizer/utf8_stream.h"
#include "harness/config/fields.h"

namespace kvproof::cli {
namespace {

CLI::Option* add(CLI::App& app, const std::string& name, const std::string& placeholder, const std::string& help) {
  // CLI11 only splits the words; it converts nothing, keeps every occurrence and complains about none.
  const auto keep = [](const CLI::results_t&) { return true; };
  return app.add_option(name, keep, help)
      ->type_name(placeholder)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

template <class T>
bool parse_whole(const std::string& text, T* value) {
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return fault == std::errc() && end == text.data() + text.size();
}

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(' ');
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> items;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find(',', begin), text.size());
    items.push_back(trimmed(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return items;
}

std::string range_text(int64_t low, int64_t high) {
  if (high == std::numeric_limits<int64_t>::max()) return fmt::format("of at least {}", low);
  return fmt::format("from {} to {}", low, high);
}

}  // namespace

std::string suggestion(const std::string& word, const std::vector<std::string>& known, const std::string& otherwise) {
  const auto meant = config::did_you_mean(word, known);
  return meant.empty() ? "; " + otherwise : fmt::format(", did you mean \"{}\"?", meant);
}

void add_value(CLI::App& app, const std::string& name, const std::string& placeholder, const std::string& help) {
  add(app, name, placeholder, help);
}

void add_list(CLI::App& app, const std::string& name, const std::string& placeholder, const std::string& help) {
  add(app, name, placeholder, help + " (may be repeated)");
}

void add_toggle(CLI::App& app, const std::string& name, const std::string& help) { app.add_flag(name, help); }

void add_positional(CLI::App& app, const std::string& name, const std::string& help) { add(app, name, "", help); }

void add_positionals(CLI::App& app, const std::string& name, const std::string& help) {
  add(app, name, "", help)->expected(-1);
}

bool Arguments::given(const std::string& name) const { return app_->get_option(name)->count() > 0; }

std::optional<std::string> Arguments::text(const std::string& name) const {
  const auto& results = app_->get_option(name)->results();
  if (results.empty()) return std::nullopt;
  if (results.size() > 1) {
    throw ArgumentError(name, fmt::format("was given {} times; give it once", results.size()));
  }
  return results.front();
}

std::string Arguments::required(const std::string& name, const std::string& what) const {
  const auto value = text(name);
  if (!value) throw ArgumentError(name, "is missing; give " + what);
  if (value->empty()) throw ArgumentError(name, "is empty; give " + what);
  return *value;
}

std::vector<std::string> Arguments::texts(const std::string& name) const { return app_->get_option(name)->results(); }

std::optional<int64_t> Arguments::integer(const std::string& name, int64_t low, int64_t high) const {
  const auto value = text(name);
  if (!value) return std::nullopt;
  int64_t number = 0;
  if (!parse_whole(*value, &number) || number < low || number > high) {
    throw ArgumentError(name, fmt::format("must be an integer {}, got \"{}\"", range_text(low, high), *value));
  }
  return number;
}

std::optional<uint64_t> Arguments::unsigned_integer(const std::string& name) const {
  const auto value = text(name);
  if (!value) return std::nullopt;
  uint64_t number = 0;
  if (!parse_whole(*value, &number)) {
    throw ArgumentError(
        name, fmt::format("must be an integer from 0 to {}, got \"{}\"", std::numeric_limits<uint64_t>::max(), *value));
  }
  return number;
}

std::optional<double> Arguments::number(const std::string& name, double low) const {
  const auto value = text(name);
  if (!value) return std::nullopt;
  double number = 0;
  if (!parse_whole(*value, &number) || !std::isfinite(number) || number < low) {
    throw ArgumentError(name, fmt::format("must be a number of at least {}, got \"{}\"", low, *value));
  }
  return number;
}

std::optional<std::string> Arguments::word(const std::string& name, const std::vector<std::string>& allowed) const {
  const auto value = text(name);
  if (!value) return std::nullopt;
  if (std::find(allowed.begin(), allowed.end(), *value) == allowed.end()) {
    const auto choice = suggestion(*value, allowed, fmt::format("one of {}", fmt::join(allowed, ", ")));
    throw ArgumentError(name, fmt::format("unknown value \"{}\"{}", *value, choice));
  }
  return value;
}

std::vector<int64_t> Arguments::integers(const std::string& name, int64_t low, int64_t high) const {
  const auto value = required(name, "integers separated by commas, such as 1,2,3");
  std::vector<int64_t> numbers;
  for (const auto& item : split_commas(value)) {
    int64_t number = 0;
    if (!parse_whole(item, &number) || number < low || number > high) {
      throw ArgumentError(name, fmt::format("item {} must be an integer {}, got \"{}\"; write 1,2,3",
                                            numbers.size() + 1, range_text(low, high), item));
    }
    numbers.push_back(number);
  }
  return numbers;
}

std::vector<int32_t> Arguments::token_ids(const std::string& name) const {
  const auto numbers = integers(name, 0, std::numeric_limits<int32_t>::max());
  return {numbers.begin(), numbers.end()};
}

std::vector<std::pair<std::string, std::string>> Arguments::pairs(const std::string& name) const {
  std::vector<std::pair<std::string, std::string>> found;
  for (const auto& occurrence : texts(name)) {
    for (const auto& item : split_commas(occurrence)) {
      const auto equals = item.find('=');
      if (equals == std::string::npos || equals == 0 || equals + 1 == item.size()) {
        throw ArgumentError(name,
                            fmt::format("expected key=value, got \"{}\"; write softcap=20,rope_base=10000", item));
      }
      found.emplace_back(item.substr(0, equals), item.substr(equals + 1));
    }
  }
  return found;
}

std::vector<std::string> Arguments::flag_names() const {
  std::vector<std::string> names;
  for (const auto* option : app_->get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

void check_token_ids(const std::vector<int32_t>& ids, int64_t vocab_size, const std::string& place) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab_size) {
      throw ArgumentError(place, fmt::format("token id {} at item {} is outside the vocabulary; ids go from 0 to {}",
                                             ids[i], i + 1, vocab_size - 1));
    }
  }
}

void check_utf8(const std::string& text, const std::string& place) {
  if (const auto offset = first_invalid_utf8(text)) {
    throw ArgumentError(place, fmt::format("is not UTF-8: byte {} is invalid", *offset));
  }
}

}  // namespace kvproof::cli
