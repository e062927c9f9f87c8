// LibTorch's thread count belongs to the process: whoever changes it for a case puts it back.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/model/model.h"

namespace kvproof {

class ThreadScope {
 public:
  ThreadScope() : before_(set_threads(0)) {}
  ~ThreadScope() { set_threads(before_); }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

  /// absent: as many as before
  void use(std::optional<int64_t> threads) { set_threads(threads ? static_cast<int>(*threads) : before_); }

 private:
  int before_;
};

}  // namespace kvproof
