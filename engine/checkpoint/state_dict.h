// Named tensors out of a file written by torch.save, mapped, not copied.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "engine/checkpoint/mapped_file.h"

namespace kvproof {

/// Tensors by name, in name order; each keeps its file mapped while it lives. Read-only: never write into one.
using StateDict = std::map<std::string, at::Tensor>;

/// Reads a zip file of torch.save that holds one dict (or OrderedDict) of tensors.
///
/// Storages are mapped from the file (records are stored uncompressed); views, shared storages and any storage
/// location are fine. The prefix `_orig_mod.` of torch.compile is stripped.
/// throws CheckpointError: not a zip, truncated, a foreign global or dtype, sizes or strides out of the storage's bounds,
///        a value that is no tensor, a name twice. The place is the file, with the tensor's name where one is at fault.
StateDict load_state_dict(const std::filesystem::path& file);
/// The same over bytes in memory. place: their name, for messages
StateDict load_state_dict(std::shared_ptr<const MappedFile> mapping, const std::string& place);

/// Writes tensors as torch.save would (an OrderedDict; Python's torch.load(weights_only=True) reads it).
/// The file appears whole or not at all. throws CheckpointError if it cannot be written.
void save_state_dict(const StateDict& tensors, const std::filesystem::path& file);

}  // namespace kvproof
