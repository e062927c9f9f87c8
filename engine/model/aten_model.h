// The readable backend: the forward pass as ATen operations, on any device and dtype.
#pragma once

#include <memory>

#include "engine/model/model.h"

namespace kvproof {

/// throws CheckpointError: a tensor that is missing
std::unique_ptr<Model> make_aten_model(const Checkpoint& checkpoint, at::ScalarType dtype, at::Device device,
                                       bool convert_weights = true);

}  // namespace kvproof
