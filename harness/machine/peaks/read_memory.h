// Memory to read, and the plainest way to read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace kvproof {

/// Zeros that really are in memory (every page was written), in huge pages where the system has any.
class ReadMemory {
 public:
  /// bytes  rounded up to whole huge pages (2 MiB)
  /// throws std::bad_alloc
  /// cost   one pass of writing
  explicit ReadMemory(int64_t bytes);

  void* data() const { return memory_.get(); }
  int64_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  int64_t bytes_;
  std::unique_ptr<void, Free> memory_;
};

/// Sum of n floats, of the last n mod 128 none: a loop that does nothing but read, in the CPU's widest vectors. What
/// takes longer for as many bytes is not bound by reading.
float sum_of(const float* p, int64_t n);

}  // namespace kvproof
