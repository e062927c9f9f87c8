#include "engine/checkpoint/pickle_heap.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace kvproof {
namespace {

// Released values die recursively; those of real files nest 6 deep.
constexpr uint32_t kMaxDepth = 100;

template <class F>
void for_each_child(const PickleValue& value, const F& f) {
  const auto all = [&](const auto& items) {
    for (const auto& item : items) f(*item);
  };
  const auto pairs = [&](const auto& items) {
    for (const auto& [key, item] : items) f(*key), f(*item);
  };
  if (const auto* tuple = value.get<PickleTuple>()) all(tuple->items);
  if (const auto* list = value.get<PickleList>()) all(list->items);
  if (const auto* dict = value.get<PickleDict>()) pairs(dict->items);
  if (const auto* id = value.get<PicklePersistentId>()) f(*id->id);
  if (const auto* object = value.get<PickleObject>()) {
    all(object->arguments);
    pairs(object->items);
    if (object->state) f(*object->state);
  }
}

}  // namespace

PickleHeap::~PickleHeap() {
  // values_ holds every value meanwhile: each is a leaf before the first one dies.
  for (const auto& value : values_) {
    if (!released_.count(value.get())) value->data = PickleNone{};
  }
}

PickleRef PickleHeap::add(PickleValue value) {
  values_.push_back(std::make_shared<PickleValue>(std::move(value)));
  return values_.back();
}

// Finds the longest chain below each value, children first, without recursion. A value met again while its children are
// being visited holds itself.
std::string PickleHeap::release(const PickleRef& root) {
  struct Visit {
    const PickleValue* value;
    bool children_done;
  };
  std::unordered_map<const PickleValue*, uint32_t> depths;  // 0: being visited
  std::vector<Visit> todo{{root.get(), false}};
  while (!todo.empty()) {
    const auto [value, children_done] = todo.back();
    if (children_done) {
      uint32_t depth = 0;
      for_each_child(*value, [&](const PickleValue& child) { depth = std::max(depth, depths[&child]); });
      if (depth >= kMaxDepth) return fmt::format("values nest more than {} deep", kMaxDepth);
      depths[value] = depth + 1;
      todo.pop_back();
      continue;
    }
    if (const auto [seen, is_new] = depths.emplace(value, 0); !is_new) {
      if (seen->second == 0) return "a value holds itself; a checkpoint or tokenizer never does";
      todo.pop_back();
      continue;
    }
    todo.back().children_done = true;
    for_each_child(*value, [&](const PickleValue& child) { todo.push_back({&child, false}); });
  }
  for (const auto& [value, depth] : depths) released_.insert(value);
  return "";
}

}  // namespace kvproof
