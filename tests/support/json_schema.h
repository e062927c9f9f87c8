// The part of JSON Schema (draft 2020-12) that this project's schemas use: tests hold documents against them.
#pragma once

#include <nlohmann/json.hpp>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

namespace kvproof::testing {

/// Collects what is wrong with a document: "/cases/0/shape: lacks \"N\"".
/// Knows type, required, properties, patternProperties, additionalProperties, items, enum, const, anyOf, minimum, maximum
/// and $ref into the schema itself; any other keyword is a std::logic_error, so that no rule is passed over.
class JsonSchema {
 public:
  using Json = nlohmann::ordered_json;

  explicit JsonSchema(Json schema) : root_(std::move(schema)) {}

  std::vector<std::string> errors(const Json& document) const {
    std::vector<std::string> found;
    check(root_, document, "", found);
    return found;
  }

 private:
  void check(const Json& schema, const Json& value, const std::string& at, std::vector<std::string>& found) const {
    if (schema.is_boolean()) {
      if (!schema.get<bool>()) found.push_back(at + ": is not allowed here");
      return;
    }
    for (const auto& [keyword, rule] : schema.items()) {
      if (keyword == "$ref")
        check(root_.at(Json::json_pointer(rule.get<std::string>().substr(1))), value, at, found);
      else if (keyword == "type")
        check_type(rule, value, at, found);
      else if (keyword == "const") {
        if (value != rule) found.push_back(at + ": expected " + rule.dump() + ", found " + value.dump());
      } else if (keyword == "enum") {
        if (!contains(rule, value))
          found.push_back(at + ": expected one of " + rule.dump() + ", found " + value.dump());
      } else if (keyword == "minimum") {
        if (value.is_number() && value < rule) found.push_back(at + ": " + value.dump() + " is below " + rule.dump());
      } else if (keyword == "maximum") {
        if (value.is_number() && value > rule) found.push_back(at + ": " + value.dump() + " is above " + rule.dump());
      } else if (keyword == "anyOf")
        check_any(rule, value, at, found);
      else if (keyword == "required")
        check_required(rule, value, at, found);
      else if (keyword == "items")
        check_items(rule, value, at, found);
      else if (keyword == "properties")
        check_properties(schema, value, at, found);
      else if (!is_one_of(keyword,
                          {"patternProperties", "additionalProperties", "$defs", "$schema", "title", "description"}))
        throw std::logic_error("JsonSchema does not know the keyword " + keyword);
    }
  }

  static bool is_one_of(const std::string& word, std::initializer_list<const char*> words) {
    for (const char* each : words)
      if (word == each) return true;
    return false;
  }

  static bool contains(const Json& list, const Json& value) {
    for (const Json& each : list)
      if (each == value) return true;
    return false;
  }

  static bool has_type(const std::string& type, const Json& value) {
    if (type == "integer") return value.is_number_integer();
    if (type == "null") return value.is_null();
    return type == value.type_name();  // object, array, string, number, boolean
  }

  static void check_type(const Json& rule, const Json& value, const std::string& at, std::vector<std::string>& found) {
    bool fits = false;
    for (const Json& type : rule.is_array() ? rule : Json::array({rule}))
      fits = fits || has_type(type.get<std::string>(), value);
    if (!fits) found.push_back(at + ": expected " + rule.dump() + ", found " + value.type_name());
  }

  // Says what is wrong with the alternative that fits best.
  void check_any(const Json& rule, const Json& value, const std::string& at, std::vector<std::string>& found) const {
    std::vector<std::string> fewest;
    for (std::size_t i = 0; i < rule.size(); ++i) {
      std::vector<std::string> errors;
      check(rule[i], value, at, errors);
      if (errors.empty()) return;
      if (i == 0 || errors.size() < fewest.size()) fewest = errors;
    }
    found.insert(found.end(), fewest.begin(), fewest.end());
  }

  static void check_required(const Json& rule, const Json& value, const std::string& at,
                             std::vector<std::string>& found) {
    if (!value.is_object()) return;
    for (const Json& name : rule) {
      if (!value.contains(name.get<std::string>())) found.push_back(at + ": lacks " + name.dump());
    }
  }

  void check_items(const Json& rule, const Json& value, const std::string& at, std::vector<std::string>& found) const {
    if (!value.is_array()) return;
    for (std::size_t i = 0; i < value.size(); ++i) check(rule, value[i], at + "/" + std::to_string(i), found);
  }

  void check_properties(const Json& schema, const Json& value, const std::string& at,
                        std::vector<std::string>& found) const {
    if (!value.is_object()) return;
    for (const auto& [name, member] : value.items()) {
      const std::string place = at + "/" + name;
      if (schema["properties"].contains(name)) {
        check(schema["properties"][name], member, place, found);
      } else if (const Json* pattern = matching(schema, name)) {
        check(*pattern, member, place, found);
      } else if (schema.contains("additionalProperties")) {
        check(schema["additionalProperties"], member, place, found);
      }
    }
  }

  static const Json* matching(const Json& schema, const std::string& name) {
    if (!schema.contains("patternProperties")) return nullptr;
    for (const auto& [pattern, rule] : schema["patternProperties"].items()) {
      if (std::regex_search(name, std::regex(pattern))) return &rule;
    }
    return nullptr;
  }

  Json root_;
};

}  // namespace kvproof::testing
