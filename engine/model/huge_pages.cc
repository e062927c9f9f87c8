#include "engine/model/huge_pages.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/accumulate.h>

#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace kvproof {

at::Tensor empty_in_huge_pages(at::IntArrayRef sizes, at::ScalarType dtype) {
  constexpr std::size_t kPage = std::size_t{2} << 20;
  const std::size_t bytes = static_cast<std::size_t>(c10::multiply_integers(sizes)) * c10::elementSize(dtype);
  if (bytes < kPage) return at::empty(sizes, dtype);
  const std::size_t whole = (bytes + kPage - 1) / kPage * kPage;
  void* memory = std::aligned_alloc(kPage, whole);
  if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  madvise(memory, whole, MADV_HUGEPAGE);  // a wish
#endif
  return at::from_blob(
      memory, sizes, [](void* data) { std::free(data); }, at::TensorOptions(dtype));
}

}  // namespace kvproof
