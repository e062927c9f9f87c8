#include "harness/cli/npy.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <bit>

#include "engine/checkpoint/atomic_file.h"
#include "harness/error.h"

namespace kvproof::cli {

std::string npy_header(const std::string& descr, const std::vector<int64_t>& shape) {
  constexpr std::size_t kAlignment = 64, kPreambleBytes = 10;
  const auto order = std::endian::native == std::endian::little ? '<' : '>';
  std::string sizes;  // a Python tuple: one item needs its comma
  for (const auto size : shape) sizes += fmt::format("{}{}", sizes.empty() ? "" : " ", size) + ",";
  if (shape.size() > 1) sizes.pop_back();
  auto header = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}), }}", order, descr, sizes);
  const auto unpadded = kPreambleBytes + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header += '\n';
  const auto length = static_cast<uint16_t>(header.size());
  std::string preamble = "\x93NUMPY";
  preamble += {'\x01', '\x00', static_cast<char>(length & 0xff), static_cast<char>(length >> 8)};
  return preamble + header;
}

void write_npy(const std::filesystem::path& file, const at::Tensor& tensor) {
  TORCH_CHECK(tensor.is_contiguous() && tensor.device().is_cpu(), "write_npy takes a contiguous tensor on the CPU");
  TORCH_CHECK(tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kDouble,
              "write_npy takes float32 or float64");
  const auto header = npy_header(tensor.scalar_type() == at::kFloat ? "f4" : "f8", tensor.sizes().vec());
  try {
    AtomicFile out(file);
    out.append(header.data(), header.size());
    out.append(tensor.const_data_ptr(), tensor.nbytes());
    out.commit();
  } catch (const CheckpointError& error) {
    throw RecordError(error.place(), error.message());
  }
}

}  // namespace kvproof::cli
