// A tensor over a file's bytes.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/checkpoint/mapped_file.h"

namespace kvproof {

static_assert(std::endian::native == std::endian::little, "tensors are mapped as they are: little-endian");

/// bytes    of the mapping, exactly as many as shape and dtype ask for
/// returns  a tensor that keeps the mapping; a copy where the bytes are not aligned for their dtype
inline at::Tensor tensor_over(std::string_view bytes, const std::vector<int64_t>& shape, c10::ScalarType dtype,
                              std::shared_ptr<const MappedFile> mapping) {
  const bool aligned = reinterpret_cast<uintptr_t>(bytes.data()) % c10::elementSize(dtype) == 0;
  if (bytes.empty() || aligned) {
    return at::from_blob(
        const_cast<char*>(bytes.data()), shape, [mapping = std::move(mapping)](void*) {}, at::TensorOptions(dtype));
  }
  const at::Tensor copy = at::empty(shape, dtype);
  std::memcpy(copy.mutable_data_ptr(), bytes.data(), bytes.size());
  return copy;
}

}  // namespace kvproof
