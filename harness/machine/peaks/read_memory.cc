#include "harness/machine/peaks/read_memory.h"

#include <cstring>

#include "engine/kernels/huge_pages.h"

namespace kvproof {
namespace {

// 64 bytes of floats, whatever vectors the CPU has.
using Floats = float __attribute__((vector_size(64), aligned(4)));

}  // namespace

ReadMemory::ReadMemory(int64_t bytes)
    : bytes_((bytes + kernels::kHugePage - 1) / kernels::kHugePage * kernels::kHugePage),
      memory_(kernels::allocate_in_huge_pages(bytes)) {
  std::memset(memory_.get(), 0, static_cast<std::size_t>(bytes_));
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
float sum_of(const float* p, int64_t n) {
  Floats sum[8] = {};
  for (int64_t i = 0; i + 128 <= n; i += 128)
    for (int u = 0; u < 8; ++u) sum[u] += *reinterpret_cast<const Floats*>(p + i + 16 * u);
  float total = 0;
  for (int u = 1; u < 8; ++u) sum[0] += sum[u];
  for (int lane = 0; lane < 16; ++lane) total += sum[0][lane];
  return total;
}

}  // namespace kvproof
