// The values of one pickle while it is read.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "engine/checkpoint/pickle.h"

namespace kvproof {

/// Owns every value made. Values may come to nest so deep, or in circles, that they cannot be left to die by themselves:
/// what was not released is taken apart, so that no chain of destructors overflows the stack and no circle leaks.
class PickleHeap {
 public:
  PickleHeap() = default;
  ~PickleHeap();
  PickleHeap(const PickleHeap&) = delete;
  PickleHeap& operator=(const PickleHeap&) = delete;

  PickleRef add(PickleValue value);

  /// Lets a value and all that it holds outlive the heap. Returns "", or why it cannot be: it nests too deep or holds
  /// itself.
  std::string release(const PickleRef& root);

 private:
  std::vector<PickleRef> values_;
  std::unordered_set<const PickleValue*> released_;
};

}  // namespace kvproof
