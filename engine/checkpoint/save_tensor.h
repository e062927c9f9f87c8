// One tensor alone in a file of torch.save.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>

namespace kvproof {

/// Writes what torch.save(tensor, file) would; the file appears whole or not at all.
/// throws CheckpointError if it cannot be written
void save_tensor(const at::Tensor& tensor, const std::filesystem::path& file);

}  // namespace kvproof
