#include "engine/checkpoint/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "engine/checkpoint/json_text.h"
#include "engine/checkpoint/mapped_tensor.h"
#include "engine/checkpoint/text.h"
#include "engine/error.h"

namespace kvproof {
namespace {

using nlohmann::json;

constexpr uint64_t kMostHeaderBytes = 100'000'000;  // as the format's own reader
constexpr size_t kLengthBytes = 8;
constexpr size_t kMostDims = 64;  // as in PyTorch
constexpr const char* kMetadata = "__metadata__";

constexpr std::array<std::pair<std::string_view, c10::ScalarType>, 4> kDtypes = {{
    {"F32", c10::ScalarType::Float},
    {"BF16", c10::ScalarType::BFloat16},
    {"F16", c10::ScalarType::Half},
    {"F64", c10::ScalarType::Double},
}};

// What a header says of one tensor.
struct Entry {
  std::string name;
  c10::ScalarType dtype = c10::ScalarType::Undefined;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes behind the header
};

class SafetensorsReader {
 public:
  SafetensorsReader(std::shared_ptr<const MappedFile> mapping, std::string place)
      : place_(std::move(place)), mapping_(std::move(mapping)) {}

  StateDict read() {
    const std::string_view header = read_header();
    const json root = parse_json(header, place_ + ": header");
    if (!root.is_object()) fail(fmt::format("header: expected an object, found {}", root.type_name()));
    std::vector<Entry> entries;
    for (const auto& [name, fields] : root.items()) {
      if (name != kMetadata) entries.push_back(entry_of(name, fields));
    }
    check_ranges(entries);
    StateDict tensors;
    for (const Entry& entry : entries) {
      tensors.emplace(entry.name, tensor_over(data_.substr(entry.begin, entry.end - entry.begin), entry.shape,
                                              entry.dtype, mapping_));
    }
    return tensors;
  }

 private:
  [[noreturn]] void fail(const std::string& message) const { throw CheckpointError(place_, message); }

  [[noreturn]] void fail_tensor(const std::string& name, const std::string& message) const {
    throw CheckpointError(fmt::format("{}: tensor {}", place_, quote(name)), message);
  }

  // Sets data_ to what lies behind it.
  std::string_view read_header() {
    const std::string_view bytes = mapping_->bytes();
    if (bytes.size() < kLengthBytes) {
      fail(fmt::format("expected a header's length in the first 8 bytes, found {} bytes in all; copy the file again",
                       bytes.size()));
    }
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), kLengthBytes);
    if (length > kMostHeaderBytes) {
      fail(
          fmt::format("expected a header of at most {} bytes, found {}; this is no .safetensors file, or a damaged one",
                      kMostHeaderBytes, length));
    }
    if (length > bytes.size() - kLengthBytes) {
      fail(fmt::format("expected a header of {} bytes, found {}: the file is cut off; copy it again", length,
                       bytes.size() - kLengthBytes));
    }
    data_ = bytes.substr(kLengthBytes + length);
    return bytes.substr(kLengthBytes, length);
  }

  Entry entry_of(const std::string& name, const json& fields) const {
    if (!fields.is_object()) fail_tensor(name, fmt::format("expected an object, found {}", shown(fields)));
    for (const auto& [key, value] : fields.items()) {
      if (key != "dtype" && key != "shape" && key != "data_offsets")
        fail_tensor(name,
                    fmt::format("{}: expected dtype, shape and data_offsets alone; save the file again", quote(key)));
    }
    Entry entry;
    entry.name = name;
    entry.dtype = dtype_of(name, field(name, fields, "dtype"));
    for (const uint64_t size : numbers(name, "shape", field(name, fields, "shape"))) {
      entry.shape.push_back(static_cast<int64_t>(size));
    }
    if (entry.shape.size() > kMostDims)
      fail_tensor(name, fmt::format("shape: expected at most {} dimensions, found {}", kMostDims, entry.shape.size()));
    const auto offsets = numbers(name, "data_offsets", field(name, fields, "data_offsets"));
    if (offsets.size() != 2 || offsets[0] > offsets[1]) {
      fail_tensor(name, fmt::format("data_offsets: expected where its bytes begin and end, found {}",
                                    shown(fields.at("data_offsets"))));
    }
    entry.begin = offsets[0];
    entry.end = offsets[1];
    check_size(entry);
    return entry;
  }

  const json& field(const std::string& name, const json& fields, const char* key) const {
    const auto found = fields.find(key);
    if (found == fields.end()) fail_tensor(name, fmt::format("{}: is missing; copy or save the file again", key));
    return *found;
  }

  c10::ScalarType dtype_of(const std::string& name, const json& value) const {
    const auto is_it = [&](const auto& dtype) { return value.is_string() && value.get<std::string>() == dtype.first; };
    const auto found = std::find_if(kDtypes.begin(), kDtypes.end(), is_it);
    if (found == kDtypes.end()) {
      fail_tensor(
          name, fmt::format("dtype: expected F32, BF16, F16 or F64, found {}; convert it before saving", shown(value)));
    }
    return found->second;
  }

  std::vector<uint64_t> numbers(const std::string& name, const char* key, const json& value) const {
    std::vector<uint64_t> found;
    const auto is_number = [](const json& item) {
      return item.is_number_unsigned() && item.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()};
    };
    if (!value.is_array() || !std::all_of(value.begin(), value.end(), is_number))
      fail_tensor(name, fmt::format("{}: expected a list of integers of at least 0, found {}", key, shown(value)));
    for (const json& item : value) found.push_back(item.get<uint64_t>());
    return found;
  }

  void check_size(const Entry& entry) const {
    uint64_t bytes = c10::elementSize(entry.dtype);
    bool overflow = false;
    for (const int64_t size : entry.shape)
      overflow |= __builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes);
    if (overflow || bytes != entry.end - entry.begin) {
      fail_tensor(entry.name, fmt::format("data_offsets: expected {} bytes for shape {}, found {}; copy the file again",
                                          overflow ? std::string("more than any file's") : std::to_string(bytes),
                                          shape_text(entry.shape), entry.end - entry.begin));
    }
  }

  // The tensors' bytes follow each other from the header to the end of the file. Sorts the entries by them.
  void check_ranges(std::vector<Entry>& entries) const {
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
    const Entry* before = nullptr;
    for (const Entry& entry : entries) {
      const uint64_t expected = before ? before->end : 0;
      if (entry.begin < expected) {
        fail_tensor(entry.name,
                    fmt::format("data_offsets: overlaps tensor {}, which ends at byte {}, found {}; save the "
                                "file again",
                                quote(before->name), expected, entry.begin));
      }
      if (entry.begin > expected) {
        fail_tensor(entry.name,
                    fmt::format("data_offsets: expected to begin at byte {}, where {} ends, found {}; save "
                                "the file again",
                                expected, before ? "tensor " + quote(before->name) : "the header", entry.begin));
      }
      if (entry.end > data_.size()) {
        fail_tensor(entry.name, fmt::format("ends at byte {} of the tensors' bytes, of which there are {}: the file is "
                                            "cut off; copy it again",
                                            entry.end, data_.size()));
      }
      before = &entry;
    }
    const uint64_t end = before ? before->end : 0;
    if (end != data_.size()) {
      fail(fmt::format("expected {} bytes of tensors, found {}: what the last {} are is not said; copy the file again",
                       end, data_.size(), data_.size() - end));
    }
  }

  std::string place_;
  std::shared_ptr<const MappedFile> mapping_;
  std::string_view data_;  // behind the header
};

// Tensor name to the name of the file that holds it.
std::map<std::string, std::string> weight_map(const std::filesystem::path& index) {
  const std::string place = index.string();
  const auto fail = [&](const std::string& message) { throw CheckpointError(place, "weight_map: " + message); };
  const json root = parse_json(MappedFile::open(index)->bytes(), place);
  if (!root.is_object() || !root.contains("weight_map")) fail("is missing; is this a model.safetensors.index.json?");
  const json& map = root["weight_map"];
  if (!map.is_object() || map.empty()) fail(fmt::format("expected tensors and their files, found {}", shown(map)));
  std::map<std::string, std::string> files;
  for (const auto& [name, file] : map.items()) {
    const std::string text = file.is_string() ? file.get<std::string>() : "";
    if (text.empty() || text == "." || text == ".." || text.find('/') != std::string::npos) {
      fail(fmt::format("{}: expected the name of a file beside the index, found {}", quote(name), shown(file)));
    }
    files.emplace(name, text);
  }
  return files;
}

}  // namespace

StateDict load_safetensors(const std::filesystem::path& file) {
  return load_safetensors(MappedFile::open(file), file.string());
}

StateDict load_safetensors(std::shared_ptr<const MappedFile> mapping, const std::string& place) {
  return SafetensorsReader(std::move(mapping), place).read();
}

std::vector<std::filesystem::path> shards_of(const std::filesystem::path& index) {
  std::vector<std::filesystem::path> shards;
  for (const auto& [name, file] : weight_map(index)) shards.push_back(index.parent_path() / file);
  std::sort(shards.begin(), shards.end());
  shards.erase(std::unique(shards.begin(), shards.end()), shards.end());
  return shards;
}

StateDict load_sharded_safetensors(const std::filesystem::path& index) {
  const auto files = weight_map(index);
  StateDict tensors;
  for (const auto& shard : shards_of(index)) {
    const std::string file = shard.filename().string();
    StateDict found = load_safetensors(shard);
    for (const auto& [name, tensor] : found) {
      const auto named = files.find(name);
      if (named == files.end() || named->second != file) {
        const auto expected = named == files.end() ? std::string("in no file") : "in " + quote(named->second);
        throw CheckpointError(fmt::format("{}: tensor {}", shard.string(), quote(name)),
                              fmt::format("the index has it {}; copy index and shards again, together", expected));
      }
    }
    tensors.merge(found);
  }
  for (const auto& [name, file] : files) {
    if (!tensors.count(name)) {
      throw CheckpointError(fmt::format("{}: tensor {}", (index.parent_path() / file).string(), quote(name)),
                            "the index has it here, the file does not; copy index and shards again, together");
    }
  }
  return tensors;
}

}  // namespace kvproof
