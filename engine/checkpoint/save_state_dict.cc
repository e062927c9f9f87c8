// Writing what torch.save writes: a zip file with data.pkl and one record for each tensor.
#include <ATen/core/Tensor.h>
#include <caffe2/serialize/inline_container.h>
#include <fmt/format.h>

#include <algorithm>

#include "engine/checkpoint/atomic_file.h"
#include "engine/checkpoint/dtype.h"
#include "engine/checkpoint/pickle_writer.h"
#include "engine/checkpoint/save_tensor.h"
#include "engine/checkpoint/state_dict.h"
#include "engine/error.h"

namespace kvproof {
namespace {

// Pushes a tensor: _rebuild_tensor_v2(storage, offset, sizes, strides, requires_grad, hooks).
void pickle_tensor(PickleWriter& pickle, const at::Tensor& tensor, size_t key, const std::string& place) {
  const auto dtype = std::find_if(kStoredDtypes.begin(), kStoredDtypes.end(),
                                  [&](const StoredDtype& stored) { return stored.type == tensor.scalar_type(); });
  if (dtype == kStoredDtypes.end()) {
    throw CheckpointError(place, fmt::format("dtype {} cannot be written", dtype_name(tensor.scalar_type())));
  }
  pickle.global("torch._utils", "_rebuild_tensor_v2").op(kMark);
  pickle.op(kMark).text("storage").global("torch", dtype->storage).text(std::to_string(key)).text("cpu");
  pickle.integer(tensor.numel()).op(kTuple).op(kBinPersId).integer(0);
  for (const auto& numbers : {tensor.sizes(), tensor.strides()}) {
    pickle.op(kMark);
    for (const int64_t number : numbers) pickle.integer(number);
    pickle.op(kTuple);
  }
  pickle.op(kNewFalse).global("collections", "OrderedDict").op(kEmptyTuple).op(kReduce).op(kTuple).op(kReduce);
}

// Writes the records; tensors are contiguous and on the CPU.
void write_records(const std::string& pickle, const std::vector<at::Tensor>& tensors, AtomicFile& file) {
  caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, size_t n) { return file.append(data, n); });
  try {
    writer.writeRecord("data.pkl", pickle.data(), pickle.size());
    writer.writeRecord("byteorder", "little", 6);
    for (size_t i = 0; i < tensors.size(); ++i) {
      writer.writeRecord(fmt::format("data/{}", i), tensors[i].const_data_ptr(), tensors[i].nbytes());
    }
    writer.writeEndOfFile();
  } catch (const std::exception&) {
    // The writer's destructor ends an open file, and would throw again there.
    try {
      if (!writer.finalized()) writer.writeEndOfFile();
    } catch (const std::exception&) {
    }
    throw;
  }
}

void write_file_of(const std::string& pickle, const std::vector<at::Tensor>& tensors,
                   const std::filesystem::path& path) {
  AtomicFile file(path);
  try {
    write_records(pickle, tensors, file);
  } catch (const std::exception&) {
    file.check();  // a full disk says more than the writer's "write failed"
    throw;
  }
  file.commit();
}

at::Tensor plain(const at::Tensor& tensor) { return tensor.detach().cpu().contiguous(); }

}  // namespace

void save_state_dict(const StateDict& tensors, const std::filesystem::path& file) {
  PickleWriter pickle(2);
  std::vector<at::Tensor> stored;
  pickle.global("collections", "OrderedDict").op(kEmptyTuple).op(kReduce).op(kMark);
  for (const auto& [name, tensor] : tensors) {
    stored.push_back(plain(tensor));
    pickle_tensor(pickle.text(name), stored.back(), stored.size() - 1, file.string());
  }
  pickle.op(kSetItems).op(kStop);
  write_file_of(pickle.bytes(), stored, file);
}

void save_tensor(const at::Tensor& tensor, const std::filesystem::path& file) {
  PickleWriter pickle(2);
  const at::Tensor stored = plain(tensor);
  pickle_tensor(pickle, stored, 0, file.string());
  pickle.op(kStop);
  write_file_of(pickle.bytes(), {stored}, file);
}

}  // namespace kvproof
