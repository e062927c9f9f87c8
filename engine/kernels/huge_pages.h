// Memory that is read from end to end.
#pragma once

#include <cstdint>

namespace kvproof::kernels {

inline constexpr int64_t kHugePage = int64_t{2} << 20;

/// At least so many uninitialised bytes, aligned to and rounded up to whole pages of 2 MiB, which the system is asked for where
/// it has any (Linux, on madvise): a read of all of it then waits for far fewer address translations. Give back with std::free.
/// throws std::bad_alloc
void* allocate_in_huge_pages(int64_t bytes);

}  // namespace kvproof::kernels
