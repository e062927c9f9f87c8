// Named tensors out of .safetensors files, mapped, not copied.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/checkpoint/state_dict.h"

namespace kvproof {

/// Reads one file: 8 bytes of header length, a JSON header of names, dtypes, shapes and byte ranges, then the tensors' bytes.
///
/// dtypes  F64, F32, F16, BF16
/// throws  CheckpointError: a header that is cut off, beyond 100 MB (the format's own limit) or no JSON object; a name twice;
///         an unknown dtype or field; byte ranges that leave the file, overlap, leave a gap, or do not fit shape and dtype.
///         The place is the file, with the tensor's name where one is at fault.
StateDict load_safetensors(const std::filesystem::path& file);
/// The same over bytes in memory. place: their name, for messages
StateDict load_safetensors(std::shared_ptr<const MappedFile> mapping, const std::string& place);

/// The files that a model.safetensors.index.json names in its weight_map, by name, in the index's folder.
/// throws CheckpointError: not such an index; a name that is no plain file name
std::vector<std::filesystem::path> shards_of(const std::filesystem::path& index);

/// Reads the shards of an index and holds each against the weight_map.
/// throws CheckpointError: as above; a shard that is missing, a tensor that is not in the shard it should be in, or in another
StateDict load_sharded_safetensors(const std::filesystem::path& index);

}  // namespace kvproof
