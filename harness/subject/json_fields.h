// The fields of a message's header, each checked as it is read.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace kvproof {

/// All throw ArgumentError with the field as place ("model.n_head"): it is missing, of another type or out of range.
/// A field that is null is taken as missing.
class JsonFields {
 public:
  /// object must outlive this. path  what stands before the fields' names: "model."
  explicit JsonFields(const nlohmann::json& object, std::string path = {});

  bool has(const std::string& name) const;
  int64_t integer(const std::string& name, int64_t low, int64_t high = std::numeric_limits<int64_t>::max()) const;
  std::optional<int64_t> optional_integer(const std::string& name, int64_t low) const;
  double number(const std::string& name) const;
  std::string text(const std::string& name) const;
  std::string text(const std::string& name, const std::vector<std::string>& allowed) const;
  std::vector<int64_t> integers(const std::string& name, int64_t low,
                                int64_t high = std::numeric_limits<int64_t>::max()) const;
  /// A list of lists, as tokens are.
  std::vector<std::vector<int32_t>> token_lists(const std::string& name) const;
  std::vector<int32_t> tokens(const std::string& name) const;
  std::vector<std::string> texts(const std::string& name) const;
  JsonFields object(const std::string& name) const;
  /// A list, its entries unchecked.
  const nlohmann::json& list(const std::string& name) const;

  [[noreturn]] void fail(const std::string& name, const std::string& expected) const;

 private:
  const nlohmann::json& at(const std::string& name, const std::string& expected) const;

  const nlohmann::json& object_;
  std::string path_;
};

}  // namespace kvproof
