// Memory for weights that a step reads from end to end.
#pragma once

#include <ATen/core/Tensor.h>

namespace kvproof {

/// An uninitialised dense tensor on the CPU, in pages of 2 MiB where the system grants them (Linux, on madvise): a read of all
/// of it then waits for far fewer address translations. Rounded up to whole such pages, unless it is smaller than one.
at::Tensor empty_in_huge_pages(at::IntArrayRef sizes, at::ScalarType dtype);

}  // namespace kvproof
