// A record's fields by their place, for those who read one: a damaged record gives an error that names the field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/record/record.h"

namespace kvproof {

/// One value of a record and its JSON pointer ("/cases/0/shape"). Does not own the record.
///
/// Every function throws RecordError, placed at the pointer, where the value is not what the function's name says.
class View {
 public:
  explicit View(const Json& root) : node_(&root) {}

  View at(const std::string& key) const;
  bool has(const std::string& key) const;
  std::vector<View> items() const;  ///< of an array

  bool is_null() const { return node_->is_null(); }
  std::string text() const;
  bool boolean() const;
  int64_t integer() const;
  double number() const;

  /// Absent where the value is null.
  std::optional<std::string> text_or_null() const;
  std::optional<int64_t> integer_or_null() const;
  std::optional<double> number_or_null() const;

  const Json& json() const { return *node_; }
  const std::string& pointer() const { return pointer_; }

 private:
  View(const Json& node, std::string pointer) : node_(&node), pointer_(std::move(pointer)) {}
  [[noreturn]] void fail(const std::string& expected) const;

  const Json* node_;
  std::string pointer_;
};

}  // namespace kvproof
