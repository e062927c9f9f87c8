#include "harness/subject/json_fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/error.h"
#include "harness/subject/message.h"

namespace kvproof {
namespace {

using Json = nlohmann::json;

/// Nothing where it is no integer of 64 bits between the two.
std::optional<int64_t> integer_of(const Json& value, int64_t low, int64_t high) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    return std::nullopt;
  const auto number = value.get<int64_t>();
  return number >= low && number <= high ? std::optional(number) : std::nullopt;
}

std::string range(int64_t low, int64_t high) {
  return high == std::numeric_limits<int64_t>::max() ? fmt::format("of at least {}", low)
                                                     : fmt::format("from {} to {}", low, high);
}

/// Token ids; false: something else stands among them.
bool append_tokens(const Json& list, std::vector<int32_t>& tokens) {
  if (!list.is_array()) return false;
  tokens.reserve(list.size());
  for (const Json& entry : list) {
    const auto id = integer_of(entry, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
    if (!id) return false;
    tokens.push_back(static_cast<int32_t>(*id));
  }
  return true;
}

}  // namespace

JsonFields::JsonFields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {}

bool JsonFields::has(const std::string& name) const {
  const auto found = object_.find(name);
  return found != object_.end() && !found->is_null();
}

void JsonFields::fail(const std::string& name, const std::string& expected) const {
  const auto found = object_.find(name);
  throw ArgumentError(
      path_ + name,
      fmt::format("expected {}, found {}", expected,
                  found == object_.end() ? "no such field"
                                         : in_quotes(found->dump(-1, ' ', false, Json::error_handler_t::replace))));
}

const Json& JsonFields::at(const std::string& name, const std::string& expected) const {
  const auto found = object_.find(name);
  if (found == object_.end()) fail(name, expected);
  return *found;
}

int64_t JsonFields::integer(const std::string& name, int64_t low, int64_t high) const {
  const auto expected = "an integer " + range(low, high);
  const auto number = integer_of(at(name, expected), low, high);
  if (!number) fail(name, expected);
  return *number;
}

std::optional<int64_t> JsonFields::optional_integer(const std::string& name, int64_t low) const {
  return has(name) ? std::optional(integer(name, low)) : std::nullopt;
}

double JsonFields::number(const std::string& name) const {
  const Json& value = at(name, "a number");
  if (!value.is_number()) fail(name, "a number");
  return value.get<double>();
}

std::string JsonFields::text(const std::string& name) const {
  const Json& value = at(name, "a text");
  if (!value.is_string() || value.get_ref<const std::string&>().empty()) fail(name, "a text that is not empty");
  return value.get<std::string>();
}

std::string JsonFields::text(const std::string& name, const std::vector<std::string>& allowed) const {
  const auto expected = fmt::format("one of {}", fmt::join(allowed, ", "));
  const Json& value = at(name, expected);
  if (!value.is_string() || std::find(allowed.begin(), allowed.end(), value.get<std::string>()) == allowed.end())
    fail(name, expected);
  return value.get<std::string>();
}

std::vector<int64_t> JsonFields::integers(const std::string& name, int64_t low, int64_t high) const {
  const auto expected = "a list of integers " + range(low, high);
  const Json& value = at(name, expected);
  if (!value.is_array()) fail(name, expected);
  std::vector<int64_t> numbers;
  for (const Json& entry : value) {
    const auto number = integer_of(entry, low, high);
    if (!number) fail(name, expected);
    numbers.push_back(*number);
  }
  return numbers;
}

std::vector<int32_t> JsonFields::tokens(const std::string& name) const {
  std::vector<int32_t> ids;
  if (!append_tokens(at(name, "a list of token ids"), ids)) fail(name, "a list of token ids");
  return ids;
}

std::vector<std::vector<int32_t>> JsonFields::token_lists(const std::string& name) const {
  constexpr const char* kExpected = "a list of lists of token ids, one per row";
  const Json& value = at(name, kExpected);
  if (!value.is_array()) fail(name, kExpected);
  std::vector<std::vector<int32_t>> rows;
  for (const Json& row : value) {
    if (!append_tokens(row, rows.emplace_back())) fail(name, kExpected);
  }
  return rows;
}

std::vector<std::string> JsonFields::texts(const std::string& name) const {
  std::vector<std::string> words;
  for (const Json& entry : list(name)) {
    if (!entry.is_string()) fail(name, "a list of words");
    words.push_back(entry.get<std::string>());
  }
  return words;
}

JsonFields JsonFields::object(const std::string& name) const {
  const Json& value = at(name, "an object");
  if (!value.is_object()) fail(name, "an object");
  return JsonFields(value, path_ + name + ".");
}

const Json& JsonFields::list(const std::string& name) const {
  const Json& value = at(name, "a list");
  if (!value.is_array()) fail(name, "a list");
  return value;
}

}  // namespace kvproof
