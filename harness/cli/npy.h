// Arrays for NumPy: the .npy format, version 1.0.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace at {
class Tensor;
}

namespace kvproof::cli {

/// The bytes before the data: magic, version, and a header padded so that the data is aligned to 64 bytes.
/// descr  "f4" or "f8"; this machine's byte order is put before it
std::string npy_header(const std::string& descr, const std::vector<int64_t>& shape);

/// Writes a contiguous CPU tensor of float32 or float64. The file appears whole or not at all; its folder must exist.
/// throws RecordError(file): it cannot be written
void write_npy(const std::filesystem::path& file, const at::Tensor& tensor);

}  // namespace kvproof::cli
