// What the native model computes in: allocated when a forward needs more than any before it, never given back.
#pragma once

#include <c10/util/Exception.h>
#include <hwy/aligned_allocator.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvproof::native {

/// Uninitialised, aligned elements.
template <typename T>
class Buffer {
 public:
  T* data() const { return data_.get(); }
  /// Room for n; what was in it is lost when it grows.
  void need(int64_t n) {
    if (n <= size_) return;
    data_.reset();  // before the larger one is allocated
    data_ = hwy::AllocateAligned<T>(static_cast<std::size_t>(n));
    TORCH_CHECK(data_ != nullptr, "native model: no memory for ", n, " elements");
    size_ = n;
  }

 private:
  hwy::AlignedFreeUniquePtr<T[]> data_;
  int64_t size_ = 0;
};

/// Query heads that read one kv head, side by side.
struct HeadRun {
  int64_t first, count, kv_head;
};

template <typename W, typename X>
struct Workspace {
  Buffer<X> x, x0, middle, h;      // (n, C): one for each member where rows are few, else one for all
  Buffer<X> qkv, y, hidden, sums;  // (n, ·) each, of all members together
  Buffer<W> h_narrow, qkv_narrow, y_narrow, hidden_narrow, sums_narrow, logits_narrow;  // of many rows: see Activations
  Buffer<X> scratch;                                                                    // some for each member
  Buffer<X> parts;         // of attention over chunks of keys: each chunk's sums, and the logs of their weights
  Buffer<W> keys, values;  // of a forward without a cache: (B, G, T, D)
  std::vector<HeadRun> runs;
};

}  // namespace kvproof::native
