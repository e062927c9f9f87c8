#include "engine/checkpoint/state_dict.h"

#include <ATen/ops/as_strided.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/checkpoint/dtype.h"
#include "engine/checkpoint/mapped_tensor.h"
#include "engine/checkpoint/pickle.h"
#include "engine/checkpoint/text.h"
#include "engine/checkpoint/torch_file.h"
#include "engine/error.h"

namespace kvproof {
namespace {

constexpr const char* kOrderedDict = "collections.OrderedDict";
constexpr const char* kTensor = "torch._utils._rebuild_tensor_v2";
constexpr const char* kParameter = "torch._utils._rebuild_parameter";
constexpr std::string_view kCompiledPrefix = "_orig_mod.";  // torch.compile's
constexpr size_t kMaxTensorDims = 64;                       // as in PyTorch

bool is_storage(std::string_view global) {
  return global.substr(0, 6) == "torch." && global.size() > 13 && global.substr(global.size() - 7) == "Storage";
}

// Storage types are let through whatever their name, so that the message about a foreign one can name its tensor.
bool is_allowed(std::string_view global) {
  return global == kOrderedDict || global == kTensor || global == kParameter || is_storage(global);
}

class StateDictReader {
 public:
  StateDictReader(std::shared_ptr<const MappedFile> mapping, const std::string& place)
      : place_(place), file_(std::move(mapping), place) {}

  StateDict read() {
    const auto root = read_pickle(file_.record("data.pkl"), place_ + ": data.pkl", is_allowed);
    StateDict tensors;
    for (const auto& [key, value] : dict_items(*root)) {
      const auto* name = key->get<std::string>();
      if (!name) fail(fmt::format("expected a dict of tensors by name, found a key that is {}", key->type_name()));
      name_ = name->substr(0, kCompiledPrefix.size()) == kCompiledPrefix ? name->substr(kCompiledPrefix.size()) : *name;
      if (!tensors.emplace(name_, tensor(*value)).second) fail_tensor("occurs twice");
    }
    return tensors;
  }

 private:
  // --- faults ---------------------------------------------------------------------------------------------------

  [[noreturn]] void fail(const std::string& message) const { throw CheckpointError(place_, message); }

  [[noreturn]] void fail_tensor(const std::string& message) const {
    throw CheckpointError(fmt::format("{}: tensor {}", place_, quote(name_)), message);
  }

  // --- the pickle's objects -------------------------------------------------------------------------------------

  const std::vector<std::pair<PickleRef, PickleRef>>& dict_items(const PickleValue& root) const {
    if (const auto* dict = root.get<PickleDict>()) return dict->items;
    const auto* object = root.get<PickleObject>();
    if (object && object->callable == kOrderedDict && object->arguments.empty()) return object->items;
    fail(fmt::format(
        "expected a state dict (a dict of tensors), found {}; in Python: torch.save(model.state_dict(), file)",
        root.type_name()));
  }

  at::Tensor tensor(const PickleValue& value) {
    const auto* object = value.get<PickleObject>();
    if (object && object->callable == kParameter) {  // (tensor, requires_grad, hooks)
      if (object->arguments.size() != 3) fail_tensor("a parameter with arguments that PyTorch does not write");
      object = object->arguments[0]->get<PickleObject>();
    }
    if (!object || object->callable != kTensor) {
      fail_tensor(fmt::format("expected a tensor, found {}; save the model's state dict alone", value.type_name()));
    }
    // (storage, offset, sizes, strides, requires_grad, hooks[, metadata])
    const auto& arguments = object->arguments;
    if (arguments.size() < 6 || arguments.size() > 7) {
      fail_tensor(fmt::format("expected 6 or 7 arguments of a tensor, found {}", arguments.size()));
    }
    if (arguments.size() == 7) {
      const auto* metadata = arguments[6]->get<PickleDict>();
      if (!metadata || !metadata->items.empty()) fail_tensor("conjugated or negated views are not supported");
    }
    const at::Tensor base = storage(*arguments[0]);
    const int64_t offset = integer(*arguments[1], "offset");
    const auto sizes = integers(*arguments[2], "sizes"), strides = integers(*arguments[3], "strides");
    check_bounds(sizes, strides, offset, base.numel());
    return at::as_strided(base, sizes, strides, offset);
  }

  int64_t integer(const PickleValue& value, const char* what) const {
    const auto* number = value.get<int64_t>();
    if (!number || *number < 0) {
      fail_tensor(fmt::format("{}: expected integers of at least 0, found {}", what,
                              number ? std::to_string(*number) : value.type_name()));
    }
    return *number;
  }

  std::vector<int64_t> integers(const PickleValue& value, const char* what) const {
    const auto* tuple = value.get<PickleTuple>();
    if (!tuple) fail_tensor(fmt::format("{}: expected a tuple, found {}", what, value.type_name()));
    std::vector<int64_t> numbers;
    for (const auto& item : tuple->items) numbers.push_back(integer(*item, what));
    return numbers;
  }

  // Throws unless every element that sizes and strides reach lies in a storage of so many elements.
  void check_bounds(const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides, int64_t offset,
                    int64_t storage_elements) const {
    if (sizes.size() != strides.size() || sizes.size() > kMaxTensorDims) {
      fail_tensor(fmt::format("{} sizes and {} strides do not describe a tensor", sizes.size(), strides.size()));
    }
    int64_t elements = 1, last = offset;  // last: the furthest element reached
    bool overflow = false;
    for (size_t i = 0; i < sizes.size(); ++i) {
      overflow |= __builtin_mul_overflow(elements, sizes[i], &elements);
      int64_t reach = 0;
      overflow |= __builtin_mul_overflow(std::max<int64_t>(sizes[i] - 1, 0), strides[i], &reach);
      overflow |= __builtin_add_overflow(last, reach, &last);
    }
    const bool empty = std::find(sizes.begin(), sizes.end(), 0) != sizes.end();
    if (overflow || (empty ? offset > storage_elements : last >= storage_elements)) {
      fail_tensor(
          fmt::format("sizes {}, strides {} and offset {} reach beyond its storage of {} elements; copy the file again",
                      shape_text(sizes), shape_text(strides), offset, storage_elements));
    }
  }

  // --- storages -------------------------------------------------------------------------------------------------

  // All of a storage as a flat tensor over the mapping; made once, as views share it.
  at::Tensor storage(const PickleValue& value) {
    const auto* id = value.get<PicklePersistentId>();
    const auto* tuple = id ? id->id->get<PickleTuple>() : nullptr;  // ("storage", type, key, location, elements)
    if (!tuple || tuple->items.size() != 5) fail_tensor(fmt::format("expected a storage, found {}", value.type_name()));
    const auto* global = tuple->items[1]->get<PickleGlobal>();
    const auto* key = tuple->items[2]->get<std::string>();
    if (!global || !key) fail_tensor("a storage without type or name");
    const int64_t elements = integer(*tuple->items[4], "storage");
    const StoredDtype& dtype = stored_dtype(*global);

    const auto known = storages_.find(*key);
    if (known == storages_.end()) return storages_[*key] = map_storage(*key, dtype, elements);
    if (known->second.scalar_type() != dtype.type || known->second.numel() != elements) {
      fail_tensor(fmt::format("storage {} was {} of {} before, and is {} of {} here", quote(*key),
                              known->second.numel(), dtype_name(known->second.scalar_type()), elements, dtype.name));
    }
    return known->second;
  }

  const StoredDtype& stored_dtype(const PickleGlobal& global) const {
    const auto found = std::find_if(kStoredDtypes.begin(), kStoredDtypes.end(), [&](const StoredDtype& dtype) {
      return global.name == std::string("torch.") + dtype.storage;
    });
    if (found == kStoredDtypes.end()) {
      fail_tensor(
          fmt::format("dtype {} is not supported; convert to float32, bfloat16 or float16 before saving", global.name));
    }
    return *found;
  }

  at::Tensor map_storage(const std::string& key, const StoredDtype& dtype, int64_t elements) {
    const std::string record = "data/" + key;
    if (!file_.has(record))
      fail_tensor(fmt::format("its storage {} is missing; copy or save the file again", quote(record)));
    const auto bytes = file_.record(record);
    const size_t item = c10::elementSize(dtype.type);
    if (bytes.size() / item != static_cast<size_t>(elements) || bytes.size() % item != 0) {
      fail_tensor(fmt::format("its storage {} should hold {} elements of {}, found {} bytes; copy the file again",
                              quote(record), elements, dtype.name, bytes.size()));
    }
    return tensor_over(bytes, {elements}, dtype.type, file_.mapping());  // unaligned where zipped by others
  }

  std::string place_;
  TorchFile file_;
  std::string name_;  // of the tensor being read, for messages
  std::map<std::string, at::Tensor> storages_;
};

}  // namespace

StateDict load_state_dict(const std::filesystem::path& file) {
  return load_state_dict(MappedFile::open(file), file.string());
}

StateDict load_state_dict(std::shared_ptr<const MappedFile> mapping, const std::string& place) {
  return StateDictReader(std::move(mapping), place).read();
}

}  // namespace kvproof
