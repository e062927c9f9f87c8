#include "harness/record/view.h"

#include "harness/error.h"

namespace kvproof {

void View::fail(const std::string& expected) const {
  std::string found = node_->type_name();
  if (node_->is_number() || node_->is_boolean()) found = node_->dump();
  throw RecordError(pointer_.empty() ? "/" : pointer_,
                    "expected " + expected + ", found " + found + "; the record is damaged");
}

View View::at(const std::string& key) const {
  if (!node_->is_object()) fail("an object");
  const auto found = node_->find(key);
  if (found == node_->end())
    throw RecordError(pointer_ + "/" + key, "expected a value, found nothing; the record is damaged");
  return View(*found, pointer_ + "/" + key);
}

bool View::has(const std::string& key) const { return node_->is_object() && node_->contains(key); }

std::vector<View> View::items() const {
  if (!node_->is_array()) fail("an array");
  std::vector<View> views;
  for (std::size_t i = 0; i < node_->size(); ++i)
    views.push_back(View((*node_)[i], pointer_ + "/" + std::to_string(i)));
  return views;
}

std::string View::text() const {
  if (!node_->is_string()) fail("a string");
  return node_->get<std::string>();
}

bool View::boolean() const {
  if (!node_->is_boolean()) fail("true or false");
  return node_->get<bool>();
}

int64_t View::integer() const {
  if (!node_->is_number_integer()) fail("an integer");
  return node_->get<int64_t>();
}

double View::number() const {
  if (!node_->is_number()) fail("a number");
  return node_->get<double>();
}

std::optional<std::string> View::text_or_null() const { return is_null() ? std::nullopt : std::optional(text()); }
std::optional<int64_t> View::integer_or_null() const { return is_null() ? std::nullopt : std::optional(integer()); }
std::optional<double> View::number_or_null() const { return is_null() ? std::nullopt : std::optional(number()); }

}  // namespace kvproof
