#include "engine/model/native_linear.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "engine/kernels/vector_ops.h"

namespace kvproof::native {
namespace {

using kernels::Bfloat16;
using kernels::Range;

at::Tensor matrix(const void* data, at::ScalarType type, int64_t rows, int64_t columns, int64_t stride) {
  return at::from_blob(const_cast<void*>(data), {rows, columns}, {stride, 1}, at::TensorOptions().dtype(type));
}

template <typename X>
void product(const X* x, const X* w, X* y, int64_t y_stride, int64_t n, int64_t k, Range columns) {
  constexpr at::ScalarType kType = c10::CppTypeToScalarType<X>::value;
  at::Tensor out = matrix(y + columns.begin, kType, n, columns.size(), y_stride);
  at::mm_out(out, matrix(x, kType, n, k, k), matrix(w + columns.begin * k, kType, columns.size(), k, k).t());
}

void product(const Bfloat16* x, const Bfloat16* w, float* y, int64_t y_stride, int64_t n, int64_t k, Range columns) {
  const at::Tensor sums =
      at::mm(matrix(x, at::kBFloat16, n, k, k),
             matrix(w + columns.begin * k, at::kBFloat16, columns.size(), k, k).t());  // (n, columns)
  const auto* rows = static_cast<const Bfloat16*>(sums.const_data_ptr());
  for (int64_t i = 0; i < n; ++i)
    kernels::convert(rows + i * columns.size(), y + i * y_stride + columns.begin, columns.size());
}

}  // namespace

template <typename W, typename X>
void linear(const Activations<W, X>& x, const W* w, X* y, int64_t y_stride, int64_t n, Range columns) {
  if (columns.size() == 0) return;
  if (n <= kFewRows) {
    kernels::matmul(kernels::Matmul<W, X>{w, x.width, x.x, x.width, y, y_stride, n, x.width}, columns);
    return;
  }
  const c10::InferenceMode guard;  // of this thread
  product(x.narrowed, w, y, y_stride, n, x.width, columns);
}

template void linear(const Activations<float, float>&, const float*, float*, int64_t, int64_t, Range);
template void linear(const Activations<double, double>&, const double*, double*, int64_t, int64_t, Range);
template void linear(const Activations<Bfloat16, float>&, const Bfloat16*, float*, int64_t, int64_t, Range);

}  // namespace kvproof::native
