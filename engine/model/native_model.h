// The fast backend: one walk over the layers for prefill and decode, on kernels of our own and threads of our own.
#pragma once

#include <memory>

#include "engine/model/model.h"

namespace kvproof {

/// On the CPU, in float32, bfloat16 or float64. bfloat16 is what weights, keys and values are stored in: everything between
/// them is float32, but for what goes into products of more than 16 rows.
///
/// A forward of up to 16 rows (a decode step) runs in one parallel region and, at the second step of as many rows, neither
/// allocates nor calls LibTorch's dispatcher. Larger ones multiply matrices by LibTorch, each thread a part of the columns.
///
/// pin      bind all threads but the caller's to CPUs
/// throws   CheckpointError: a tensor that is missing
std::unique_ptr<Model> make_native_model(const Checkpoint& checkpoint, at::ScalarType dtype, bool pin = false);

}  // namespace kvproof
