#include "engine/model/native_linear.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "engine/model/native_types.h"

namespace kvproof::native {

using kernels::Bfloat16;
using kernels::Range;

template <typename W, typename X>
void linear(const Activations<W, X>& x, const W* w, const Activations<W, X>& y, int64_t n, Range columns) {
  if (columns.size() == 0) return;
  if (n <= kFewRows) {
    kernels::matmul(kernels::Matmul<W, X>{w, x.width, x.x, x.width, y.x, y.width, n, x.width}, columns);
    return;
  }
  const c10::InferenceMode guard;  // of this thread
  at::Tensor out = tensor_of(y.w + columns.begin, {n, columns.size()}, {y.width, 1});
  const at::Tensor weights = tensor_of(w + columns.begin * x.width, {columns.size(), x.width}, {x.width, 1});
  at::mm_out(out, tensor_of(x.w, {n, x.width}, {x.width, 1}), weights.t());
}

template void linear(const Activations<float, float>&, const float*, const Activations<float, float>&, int64_t, Range);
template void linear(const Activations<double, double>&, const double*, const Activations<double, double>&, int64_t,
                     Range);
template void linear(const Activations<Bfloat16, float>&, const Bfloat16*, const Activations<Bfloat16, float>&, int64_t,
                     Range);

}  // namespace kvproof::native
