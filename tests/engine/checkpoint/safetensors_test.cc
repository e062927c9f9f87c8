#include "engine/checkpoint/safetensors.h"

#include <ATen/ATen.h>

#include <cstring>
#include <map>

#include "tests/engine/checkpoint/support.h"

namespace kvproof {
namespace {

using testing::fault_of;
using testing::source_path;
using testing::TempDir;
using testing::write_bytes;

std::string with_length(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

// Two tensors: "a" holds 1, 2 in float32, "b" 0.5 in float16.
const std::string kData{"\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x38", 10};
std::string two_tensors(const std::string& a = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})",
                        const std::string& b = R"({"dtype":"F16","shape":[],"data_offsets":[8,10]})") {
  return R"({"__metadata__":{"format":"pt"},"a":)" + a + R"(,"b":)" + b + "}";
}

StateDict read(const std::string& bytes) {
  const TempDir folder;
  return load_safetensors(write_bytes(folder / "f", bytes));
}

std::string fault(const std::string& bytes) {
  const TempDir folder;
  write_bytes(folder / "f", bytes);
  return fault_of([&] { load_safetensors(folder / "f"); }, folder.path());
}

TEST_CASE("tensors are what the header says of the bytes", "[engine][safetensors]") {
  const std::string header = two_tensors();
  const auto pad = GENERATE(0, 1, 2, 3, 4, 5, 6, 7);  // spaces behind it move the data in and out of alignment
  const auto tensors = read(with_length(header + std::string(static_cast<size_t>(pad), ' '), kData));
  REQUIRE(tensors.size() == 2);
  CHECK(at::equal(tensors.at("a"), at::tensor({1.0F, 2.0F})));
  CHECK(tensors.at("b").scalar_type() == at::kHalf);
  CHECK(tensors.at("b").dim() == 0);
  CHECK(tensors.at("b").item().toDouble() == 0.5);
}

TEST_CASE("aligned tensors lie in the mapping", "[engine][safetensors]") {
  const std::string file = source_path("tests/golden/huggingface/model.safetensors");
  const auto mapping = MappedFile::open(file);
  const auto tensors = load_safetensors(mapping, file);
  CHECK(tensors.size() == 2 + 3 * 6);
  for (const auto& [name, tensor] : tensors) {
    CAPTURE(name);
    const auto* at = static_cast<const char*>(tensor.const_data_ptr());
    CHECK(at >= mapping->bytes().data());
    CHECK(at + tensor.nbytes() <= mapping->bytes().data() + mapping->bytes().size());
  }
}

TEST_CASE("every dtype and empty tensors are read", "[engine][safetensors]") {
  const std::string data("\x00\x00\x00\x00\x00\x00\xf8\xbf\x80\x3f", 10);
  const auto tensors = read(with_length(R"({"d":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},)"
                                        R"("e":{"dtype":"F32","shape":[0,3],"data_offsets":[8,8]},)"
                                        R"("h":{"dtype":"BF16","shape":[1,1],"data_offsets":[8,10]}} )",
                                        data));
  CHECK(tensors.at("d").item().toDouble() == -1.5);
  CHECK(tensors.at("e").sizes() == at::IntArrayRef{0, 3});
  CHECK(tensors.at("h").item().toDouble() == 1.0);
  CHECK(tensors.at("h").scalar_type() == at::kBFloat16);
}

TEST_CASE("each fault of a safetensors file has a message of its own", "[engine][safetensors]") {
  const auto a = [](const std::string& entry) { return fault(with_length(two_tensors(entry), kData)); };
  const auto b = [](const std::string& entry) {
    return fault(with_length(two_tensors(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", entry), kData));
  };
  const std::string of_a = "checkpoint| f: tensor 'a': ", of_b = "checkpoint| f: tensor 'b': ";
  CHECK(fault("") == "checkpoint| f: empty file (0 bytes); copy or save it again");
  CHECK(fault("1234") ==
        "checkpoint| f: expected a header's length in the first 8 bytes, found 4 bytes in all; copy the file again");
  CHECK(fault(std::string("\x01\xe1\xf5\x05\0\0\0\0", 8)) ==
        "checkpoint| f: expected a header of at most 100000000 bytes, found 100000001; this is no .safetensors file, "
        "or a "
        "damaged one");
  CHECK(fault(with_length(two_tensors(), "").substr(0, 20)) ==
        "checkpoint| f: expected a header of 138 bytes, found 12: the file is cut off; copy it again");
  CHECK(fault(with_length("{\"a\":", "")) ==
        "checkpoint| f: header:1:6: not valid JSON: unexpected the end of the file; copy the file again");
  CHECK(fault(with_length("[]", "")) == "checkpoint| f: header: expected an object, found array");
  CHECK(fault(with_length(R"({"a":1,"a":2})", "")) ==
        "checkpoint| f: header: 'a' occurs twice; copy or save the file again");
  CHECK(a("7") == of_a + "expected an object, found 7");
  CHECK(a(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1})") ==
        of_a + "'x': expected dtype, shape and data_offsets alone; save the file again");
  CHECK(a(R"({"dtype":"F32","shape":[2]})") == of_a + "data_offsets: is missing; copy or save the file again");
  CHECK(a(R"({"dtype":"I64","shape":[1],"data_offsets":[0,8]})") ==
        of_a + "dtype: expected F32, BF16, F16 or F64, found \"I64\"; convert it before saving");
  CHECK(a(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})") ==
        of_a + "shape: expected a list of integers of at least 0, found [-2]");
  CHECK(a(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})") ==
        of_a + "shape: expected a list of integers of at least 0, found [2.0]");
  CHECK(a(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})") ==
        of_a + "data_offsets: expected where its bytes begin and end, found [8,0]");
  CHECK(a(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})") ==
        of_a + "data_offsets: expected where its bytes begin and end, found [0]");
  CHECK(a(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})") ==
        of_a + "data_offsets: expected 12 bytes for shape (3,), found 8; copy the file again");
  CHECK(a(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})") ==
        of_a +
            "data_offsets: expected more than any file's bytes for shape (4294967296, 4294967296), found 0; copy the "
            "file "
            "again");
  CHECK(b(R"({"dtype":"F16","shape":[1],"data_offsets":[7,9]})") ==
        of_b + "data_offsets: overlaps tensor 'a', which ends at byte 8, found 7; save the file again");
  CHECK(b(R"({"dtype":"F16","shape":[1],"data_offsets":[9,11]})") ==
        of_b + "data_offsets: expected to begin at byte 8, where tensor 'a' ends, found 9; save the file again");
  CHECK(b(R"({"dtype":"F16","shape":[2],"data_offsets":[8,12]})") ==
        of_b + "ends at byte 12 of the tensors' bytes, of which there are 10: the file is cut off; copy it again");
  CHECK(fault(with_length(two_tensors(), kData + "xyz")) ==
        "checkpoint| f: expected 10 bytes of tensors, found 13: what the last 3 are is not said; copy the file again");
}

TEST_CASE("a file that is cut off anywhere is an error, and so is one with a byte too many", "[engine][safetensors]") {
  const std::string whole = with_length(two_tensors(), kData);
  for (size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK(fault(whole.substr(0, size)) != "no error");
  }
  CHECK(fault(whole) == "no error");
  CHECK(fault(whole + " ") != "no error");
}

TEST_CASE("a file with any byte changed is read or refused, and nothing else", "[engine][safetensors]") {
  const std::string whole = with_length(two_tensors(), kData);
  int refused = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const char byte : {'\0', '"', '9', '{', '}', ',', '-', '\xff'}) {
      std::string changed = whole;
      changed[at] = byte;
      CAPTURE(at, byte);
      refused += fault(changed) != "no error";  // throws what is no Error of ours
    }
  }
  CHECK(refused > 700);  // what is left changes names or data
}

// --- shards -------------------------------------------------------------------------------------------------------

std::string one_tensor(const std::string& name) {
  return with_length("{\"" + name + R"(":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}})", {"\x00\x38", 2});
}

struct Shards {
  TempDir folder;
  Shards() {
    write_bytes(folder / "one.safetensors", one_tensor("a"));
    write_bytes(folder / "two.safetensors", one_tensor("b"));
  }
  std::string fault(const std::string& index) {
    write_bytes(folder / "index.json", index);
    return fault_of([&] { load_sharded_safetensors(folder / "index.json"); }, folder.path());
  }
};

TEST_CASE("the shards of an index are read as one", "[engine][safetensors]") {
  const Shards shards;
  const auto index =
      write_bytes(shards.folder / "index.json", R"({"metadata":{"total_size":4},)"
                                                R"("weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  CHECK(load_sharded_safetensors(index).size() == 2);
  CHECK(shards_of(index) ==
        std::vector<std::filesystem::path>{shards.folder / "one.safetensors", shards.folder / "two.safetensors"});
}

TEST_CASE("each fault of an index has a message of its own", "[engine][safetensors]") {
  Shards shards;
  const std::map<std::string, std::string> faults = {
      {"{", "checkpoint| index.json:1:2: not valid JSON: unexpected the end of the file; copy the file again"},
      {"{}", "checkpoint| index.json: weight_map: is missing; is this a model.safetensors.index.json?"},
      {R"({"weight_map":{}})", "checkpoint| index.json: weight_map: expected tensors and their files, found {}"},
      {R"({"weight_map":{"a":"../one.safetensors"}})",
       "checkpoint| index.json: weight_map: 'a': expected the name of a file beside the index, found "
       "\"../one.safetensors\""},
      {R"({"weight_map":{"a":"three.safetensors"}})",
       "checkpoint| three.safetensors: cannot be opened: No such file or directory"},
      {R"({"weight_map":{"a":"two.safetensors"}})",
       "checkpoint| two.safetensors: tensor 'b': the index has it in no file; copy index and shards again, together"},
      {R"({"weight_map":{"a":"two.safetensors","b":"one.safetensors"}})",
       "checkpoint| one.safetensors: tensor 'a': the index has it in 'two.safetensors'; copy index and shards again, "
       "together"},
      {R"({"weight_map":{"a":"one.safetensors","c":"one.safetensors"}})",
       "checkpoint| one.safetensors: tensor 'c': the index has it here, the file does not; copy index and shards "
       "again, "
       "together"},
  };
  for (const auto& [index, message] : faults) {
    CAPTURE(index);
    CHECK(shards.fault(index) == message);
  }
}

}  // namespace
}  // namespace kvproof
