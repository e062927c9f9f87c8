// The native model's element types as LibTorch knows them.
#pragma once

#include <ATen/ops/from_blob.h>
#include <c10/core/ScalarType.h>

#include <type_traits>

#include "engine/kernels/bfloat16.h"

namespace kvproof::native {

/// float, double or kernels::Bfloat16.
template <typename T>
constexpr at::ScalarType scalar_type() {
  if constexpr (std::is_same_v<T, kernels::Bfloat16>)
    return at::kBFloat16;
  else
    return c10::CppTypeToScalarType<T>::value;
}

/// A view of memory that somebody else owns; strides in elements.
template <typename T>
at::Tensor tensor_of(const T* data, at::IntArrayRef sizes, at::IntArrayRef strides) {
  return at::from_blob(const_cast<T*>(data), sizes, strides, at::TensorOptions().dtype(scalar_type<T>()));
}

}  // namespace kvproof::native
