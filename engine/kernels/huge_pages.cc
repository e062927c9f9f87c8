#include "engine/kernels/huge_pages.h"

#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace kvproof::kernels {

void* allocate_in_huge_pages(int64_t bytes) {
  const auto whole = static_cast<std::size_t>((bytes + kHugePage - 1) / kHugePage * kHugePage);
  void* memory = std::aligned_alloc(static_cast<std::size_t>(kHugePage), whole);
  if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  madvise(memory, whole, MADV_HUGEPAGE);  // a wish
#endif
  return memory;
}

}  // namespace kvproof::kernels
