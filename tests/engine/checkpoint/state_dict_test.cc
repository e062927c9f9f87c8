#include "engine/checkpoint/state_dict.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sum.h>
#include <caffe2/serialize/inline_container.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <functional>

#include "engine/checkpoint/mapped_file.h"
#include "engine/checkpoint/pickle_writer.h"
#include "engine/checkpoint/save_tensor.h"
#include "tests/engine/checkpoint/support.h"

namespace kvproof {
namespace {

namespace fs = std::filesystem;
using testing::data_path;
using testing::fault_of;
using testing::generation_path;
using testing::read_bytes;
using testing::TempDir;
using testing::write_bytes;

std::vector<float> floats(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kFloat).contiguous();
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}

using Records = std::vector<std::pair<std::string, std::string>>;

// A torch.save file out of hand-made records.
fs::path write_records(const fs::path& file, const Records& records) {
  caffe2::serialize::PyTorchStreamWriter writer(file.string());
  for (const auto& [name, bytes] : records) writer.writeRecord(name, bytes.data(), bytes.size());
  writer.writeEndOfFile();
  return file;
}

// What to write in place of a good tensor's parts.
struct TensorParts {
  std::string key = "0", storage = "FloatStorage";
  int64_t elements = 4, offset = 0;
  std::vector<int64_t> sizes = {2, 2}, strides = {2, 1};
};

void put_tuple(PickleWriter& pickle, const std::vector<int64_t>& numbers) {
  pickle.op('(');
  for (const int64_t number : numbers) pickle.integer(number);
  pickle.op('t');
}

void put_tensor(PickleWriter& pickle, const TensorParts& parts) {
  pickle.global("torch._utils", "_rebuild_tensor_v2").op('(');
  pickle.op('(')
      .text("storage")
      .global("torch", parts.storage)
      .text(parts.key)
      .text("cuda:0")
      .integer(parts.elements)
      .op('t')
      .op('Q');
  pickle.integer(parts.offset);
  put_tuple(pickle, parts.sizes);
  put_tuple(pickle, parts.strides);
  pickle.op(0x89).global("collections", "OrderedDict").op(')').op('R').op('t').op('R');
}

std::string dict_of(const std::vector<std::pair<std::string, TensorParts>>& tensors) {
  PickleWriter pickle(2);
  pickle.op('}').op('(');
  for (const auto& [name, parts] : tensors) put_tensor(pickle.text(name), parts);
  return pickle.op('u').op('.').bytes();
}

std::string pickle_of(const std::function<void(PickleWriter&)>& write) {
  PickleWriter pickle(2);
  write(pickle);
  return pickle.op('.').bytes();
}

const std::string kFourFloats(16, '\0');

TEST_CASE("views, shared storages, strides, parameters and every dtype are read as PyTorch wrote them",
          "[engine][state_dict]") {
  auto tensors = load_state_dict(data_path("views.pt"));
  REQUIRE(tensors.size() == 15);
  CHECK(floats(tensors["matrix"]).back() == 23);
  CHECK(tensors["transposed"].sizes() == at::IntArrayRef{6, 4});
  CHECK(at::equal(tensors["transposed"].t(), tensors["matrix"]));
  CHECK(floats(tensors["every_other"]) == std::vector<float>{1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23});
  CHECK(floats(tensors["expanded"]) == std::vector<float>{2, 2, 2, 2, 2});
  CHECK(tensors["matrix"].is_alias_of(tensors["every_other"]));
  CHECK(tensors["scalar"].dim() == 0);
  CHECK(tensors["scalar"].item<double>() == 2.5);
  CHECK(tensors["empty"].sizes() == at::IntArrayRef{0, 3});
  CHECK(floats(tensors["parameter"]) == std::vector<float>{1, -2});
  for (const auto& [name, type] : std::map<std::string, at::ScalarType>{{"bfloat16", at::kBFloat16},
                                                                        {"float16", at::kHalf},
                                                                        {"int64", at::kLong},
                                                                        {"int32", at::kInt},
                                                                        {"int16", at::kShort},
                                                                        {"int8", at::kChar},
                                                                        {"uint8", at::kByte}}) {
    CAPTURE(name);
    CHECK(tensors[name].scalar_type() == type);
    CHECK(floats(tensors[name]) == std::vector<float>{1, 2, 3});
  }
  CHECK(floats(tensors["bool"]) == std::vector<float>{1, 0, 1});
}

TEST_CASE("tensors are mapped, outlive the dict, and writing into one leaves the file alone", "[engine][state_dict]") {
  const TempDir folder;
  const auto file = folder / "model.pt";
  save_state_dict({{"w", at::arange(4, at::kFloat)}}, file);
  const std::string before = read_bytes(file);
  at::Tensor w = load_state_dict(file)["w"];
  CHECK(reinterpret_cast<uintptr_t>(w.const_data_ptr()) % 64 == 0);  // where PyTorch aligned the record in the file
  w.fill_(7);
  CHECK(floats(w) == std::vector<float>{7, 7, 7, 7});
  CHECK(read_bytes(file) == before);
}

TEST_CASE("pages of a mapped file that were let go of are read again; other memory stays", "[engine][state_dict]") {
  const TempDir folder;
  const auto file = folder / "model.pt";
  save_state_dict({{"w", at::arange(1 << 20, at::kFloat)}}, file);
  const at::Tensor w = load_state_dict(file)["w"];
  const auto resident = [&] {  // of the mapping that holds w, in KiB, as the kernel counts it
    std::ifstream maps("/proc/self/smaps");
    const auto address = reinterpret_cast<uintptr_t>(w.const_data_ptr());
    bool inside = false;
    for (std::string line; std::getline(maps, line);) {
      uintptr_t begin = 0, end = 0;
      if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) inside = begin <= address && address < end;
      if (inside && line.rfind("Rss:", 0) == 0) return std::stol(line.substr(4));
    }
    return -1L;
  };
  REQUIRE(w.sum().item<double>() > 0);
  const long before = resident();
  MappedFile::release(w.const_data_ptr(), w.nbytes());
  if (before >= 0) {  // Linux tells
    CHECK(before >= 4096);
    CHECK(resident() <= before - 4000);
  }
  CHECK(w[12345].item<float>() == 12345);

  std::vector<float> own(1 << 20, 3);
  MappedFile::release(own.data(), own.size() * sizeof(float));
  CHECK(std::count(own.begin(), own.end(), 3.f) == 1 << 20);
}

TEST_CASE("a file zipped without alignment is read by copying", "[engine][state_dict]") {
  const at::Tensor w = load_state_dict(data_path("unaligned.pt"))["w"];
  CHECK(at::equal(w, load_state_dict(data_path("plain.pt"))["w"]));
  CHECK(reinterpret_cast<uintptr_t>(w.const_data_ptr()) % sizeof(float) == 0);
}

TEST_CASE("an empty storage is read wherever it lies in the file", "[engine][state_dict]") {
  // Unaligned and empty: there is nothing to copy, and no memory to copy it to (seen by UBSan).
  const TempDir folder;
  for (size_t padding = 0; padding < 4; ++padding) {
    CAPTURE(padding);
    const TensorParts parts{"0", "FloatStorage", 0, 0, {0, 3}, {3, 1}};
    const auto file = folder / "empty.pt";
    caffe2::serialize::PyTorchStreamWriter writer(file.string(), true,
                                                  1);  // alignment 1: each record where the last ends
    const std::string pickle = dict_of({{"w" + std::string(padding, 'x'), parts}});
    writer.writeRecord("data.pkl", pickle.data(), pickle.size());
    writer.writeRecord("data/0", "", 0);
    writer.writeEndOfFile();
    CHECK(load_state_dict(file).begin()->second.sizes() == at::IntArrayRef{0, 3});
  }
}

TEST_CASE("a plain dict and an OrderedDict of real checkpoints are read, names stripped", "[engine][state_dict]") {
  auto demo =
      load_state_dict(testing::source_path("configs/checkpoints/demo-d4/chatsft_checkpoints/d4/model_000160.pt"));
  CHECK(demo.at("transformer.wte.weight").sizes() == at::IntArrayRef{2048, 256});
  CHECK(demo.at("transformer.wte.weight").scalar_type() == at::kBFloat16);
  auto head = load_state_dict(generation_path("head/base_checkpoints/d4/model_000050.pt"));
  CHECK(head.at("smear_gate.weight").sizes() == at::IntArrayRef{1, 24});
}

TEST_CASE("what is saved is loaded again, whatever its dtype and layout", "[engine][state_dict]") {
  const TempDir folder;
  StateDict tensors = load_state_dict(data_path("views.pt"));
  tensors["huge name " + std::string(300, 'n')] =
      at::ones({70000}, at::kByte);  // lengths of more than one and two bytes
  save_state_dict(tensors, folder / "model.pt");
  const StateDict again = load_state_dict(folder / "model.pt");
  REQUIRE(again.size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    CAPTURE(name);
    CHECK(again.at(name).scalar_type() == tensor.scalar_type());
    CHECK(at::equal(again.at(name), tensor));
  }
  save_state_dict({}, folder / "empty.pt");
  CHECK(load_state_dict(folder / "empty.pt").empty());
}

TEST_CASE("a file that is no readable torch.save file is an error that says what to do", "[engine][state_dict]") {
  const TempDir folder;
  const std::string real = read_bytes(data_path("views.pt"));
  write_bytes(folder / "empty.pt", "");
  write_bytes(folder / "text.pt", "hello");
  write_bytes(folder / "lfs.pt", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
  write_bytes(folder / "model.safetensors", std::string("\x08\0\0\0\0\0\0\0{}      ", 16));
  write_bytes(folder / "half.pt", real.substr(0, real.size() / 2));
  write_bytes(folder / "last_byte.pt", real.substr(0, real.size() - 1));
  std::string wrong_directory = real;
  wrong_directory[real.rfind("PK\x01\x02") + 2] = 9;
  write_bytes(folder / "directory.pt", wrong_directory);
  fs::create_directory(folder / "folder.pt");
  for (const auto* name : {"legacy.pt", "script.pt", "training.pt", "complex.pt", "compressed.pt"})
    fs::copy_file(data_path(name), folder / name);
  write_records(folder / "big.pt", {{"data.pkl", dict_of({{"w", {}}})}, {"byteorder", "big"}, {"data/0", kFourFloats}});
  write_records(folder / "other.pt", {{"index.json", "{}"}});

  const std::string damaged = "damaged zip file (PytorchStreamReader failed reading zip archive: ";
  const std::map<std::string, std::string> messages = {
      {"missing.pt", "cannot be opened: No such file or directory"},
      {"empty.pt", "empty file (0 bytes); copy or save it again"},
      {"folder.pt", "expected a file, found a folder or device"},
      {"text.pt", "not a file of torch.save: expected the zip signature 50 4b 03 04, found 68 65 6c 6c"},
      {"lfs.pt", "a Git LFS pointer, not the file itself; run git lfs pull"},
      {"model.safetensors", "looks like safetensors; nanochat writes torch.save files"},
      {"half.pt", "truncated: a zip file of 2445 bytes that ends before its directory; copy the file again"},
      {"last_byte.pt", damaged + "failed finding central directory); copy the file again"},
      {"directory.pt", damaged + "invalid header or archive is corrupted); copy the file again"},
      {"legacy.pt", "written in the format of PyTorch before 1.6; in Python: torch.save(torch.load(file), file)"},
      {"script.pt", "a TorchScript archive; expected a state dict: torch.save(model.state_dict(), file)"},
      {"other.pt", "a zip file without data.pkl, so not a file of torch.save"},
      {"big.pt", "byte order 'big' is not supported, only 'little'; save it again on a little-endian machine"},
      {"compressed.pt",
       "record 'byteorder' is compressed; torch.save stores records as they are: save the file again in Python, "
       "without "
       "zipping it"},
      {"training.pt", "tensor 'model': expected a tensor, found dict; save the model's state dict alone"},
      {"complex.pt",
       "tensor 'w': dtype torch.ComplexFloatStorage is not supported; convert to float32, bfloat16 or float16 before "
       "saving"},
  };
  for (const auto& [name, message] : messages) {
    CAPTURE(name);
    CHECK(fault_of([&] { load_state_dict(folder / name); }, folder.path()) == "checkpoint| " + name + ": " + message);
  }
}

TEST_CASE("a damaged or hostile state dict is an error that names the tensor", "[engine][state_dict]") {
  const TempDir folder;
  constexpr int64_t kHuge = int64_t{1} << 62;
  struct Case {
    std::string hard_case, pickle, message;
  };
  const auto parts = [](const std::function<void(TensorParts&)>& change) {
    TensorParts p;
    change(p);
    return dict_of({{"w", p}});
  };
  const std::string beyond = " reach beyond its storage of 4 elements; copy the file again";
  const std::vector<Case> cases = {
      {"a list", pickle_of([](auto& p) { p.op(']'); }),
       "expected a state dict (a dict of tensors), found list; in Python: torch.save(model.state_dict(), file)"},
      {"a tensor alone", pickle_of([](auto& p) { put_tensor(p, {}); }),
       "expected a state dict (a dict of tensors), found object torch._utils._rebuild_tensor_v2; in Python: "
       "torch.save(model.state_dict(), file)"},
      {"a key that is no str", pickle_of([](auto& p) {
         p.op('}').integer(3);
         put_tensor(p, {});
         p.op('s');
       }),
       "expected a dict of tensors by name, found a key that is int"},
      {"a value that is no tensor", pickle_of([](auto& p) { p.op('}').text("step").integer(3).op('s'); }),
       "tensor 'step': expected a tensor, found int; save the model's state dict alone"},
      {"a foreign global",
       pickle_of([](auto& p) { p.op('}').text("w").global("os", "system").op(')').op('R').op('s'); }),
       "data.pkl at byte 9: the global 'os.system' has no place in this kind of file; nothing was run. Use a file you "
       "trust, with plain data only"},
      {"a tensor of another kind", pickle_of([](auto& p) {
         p.op('}').text("w").global("torch._utils", "_rebuild_sparse_tensor").op(')').op('R').op('s');
       }),
       "data.pkl at byte 9: the global 'torch._utils._rebuild_sparse_tensor' has no place in this kind of file; "
       "nothing was run. Use a file you trust, with plain data only"},
      {"a tensor without arguments", pickle_of([](auto& p) {
         p.op('}').text("w").global("torch._utils", "_rebuild_tensor_v2").op(')').op('R').op('s');
       }),
       "tensor 'w': expected 6 or 7 arguments of a tensor, found 0"},
      {"a parameter without arguments", pickle_of([](auto& p) {
         p.op('}').text("w").global("torch._utils", "_rebuild_parameter").op(')').op('R').op('s');
       }),
       "tensor 'w': a parameter with arguments that PyTorch does not write"},
      {"a name twice", dict_of({{"w", {}}, {"w", {}}}), "tensor 'w': occurs twice"},
      {"a name twice once stripped", dict_of({{"w", {}}, {"_orig_mod.w", {}}}), "tensor 'w': occurs twice"},
      {"sizes beyond the storage", parts([](auto& p) {
         p.sizes = {3, 2};
       }),
       "tensor 'w': sizes (3, 2), strides (2, 1) and offset 0" + beyond},
      {"strides beyond it", parts([](auto& p) {
         p.strides = {3, 1};
       }),
       "tensor 'w': sizes (2, 2), strides (3, 1) and offset 0" + beyond},
      {"an offset beyond it", parts([](auto& p) { p.offset = 1; }),
       "tensor 'w': sizes (2, 2), strides (2, 1) and offset 1" + beyond},
      {"an offset beyond it, nothing to read", parts([](auto& p) {
         p.offset = 5, p.sizes = {0, 2};
       }),
       "tensor 'w': sizes (0, 2), strides (2, 1) and offset 5" + beyond},
      {"a scalar beyond it", parts([](auto& p) { p.offset = 4, p.sizes = p.strides = {}; }),
       "tensor 'w': sizes (), strides () and offset 4" + beyond},
      {"a product that wraps to 0", parts([](auto& p) {
         p.sizes = {kHuge, 4}, p.strides = {0, 0};
       }),
       "tensor 'w': sizes (4611686018427387904, 4), strides (0, 0) and offset 0" + beyond},
      {"a reach that wraps to 0", parts([](auto& p) { p.sizes = {5}, p.strides = {kHuge}; }),
       "tensor 'w': sizes (5,), strides (4611686018427387904,) and offset 0" + beyond},
      {"a negative stride", parts([](auto& p) {
         p.strides = {-2, 1};
       }),
       "tensor 'w': strides: expected integers of at least 0, found -2"},
      {"a negative size", parts([](auto& p) {
         p.sizes = {-1, 2};
       }),
       "tensor 'w': sizes: expected integers of at least 0, found -1"},
      {"a negative offset", parts([](auto& p) { p.offset = -1; }),
       "tensor 'w': offset: expected integers of at least 0, found -1"},
      {"more sizes than strides", parts([](auto& p) { p.strides = {1}; }),
       "tensor 'w': 2 sizes and 1 strides do not describe a tensor"},
      {"65 dimensions", parts([](auto& p) { p.sizes = p.strides = std::vector<int64_t>(65, 1); }),
       "tensor 'w': 65 sizes and 65 strides do not describe a tensor"},
      {"a storage that is not there", parts([](auto& p) { p.key = "9"; }),
       "tensor 'w': its storage 'data/9' is missing; copy or save the file again"},
      {"a storage outside of data/", parts([](auto& p) { p.key = "../data.pkl"; }),
       "tensor 'w': its storage 'data/../data.pkl' is missing; copy or save the file again"},
      {"a storage of another size", parts([](auto& p) { p.elements = 5; }),
       "tensor 'w': its storage 'data/0' should hold 5 elements of float32, found 16 bytes; copy the file again"},
      {"a storage whose size wraps", parts([](auto& p) { p.elements = kHuge + 4; }),
       "tensor 'w': its storage 'data/0' should hold 4611686018427387908 elements of float32, found 16 bytes; copy the "
       "file again"},
      {"a storage of another dtype", parts([](auto& p) { p.storage = "HalfStorage"; }),
       "tensor 'w': its storage 'data/0' should hold 4 elements of float16, found 16 bytes; copy the file again"},
      {"a quantized dtype", parts([](auto& p) { p.storage = "QInt8Storage"; }),
       "tensor 'w': dtype torch.QInt8Storage is not supported; convert to float32, bfloat16 or float16 before saving"},
      {"one storage, two dtypes", dict_of({{"v", {}}, {"w", {"0", "IntStorage", 4, 0, {4}, {1}}}}),
       "tensor 'w': storage '0' was 4 of float32 before, and is 4 of int32 here"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.hard_case);
    const auto file =
        write_records(folder / "bad.pt", {{"data.pkl", c.pickle}, {"byteorder", "little"}, {"data/0", kFourFloats}});
    CHECK(fault_of([&] { load_state_dict(file); }, folder.path()) == "checkpoint| bad.pt: " + c.message);
  }
  const auto good = write_records(folder / "good.pt", {{"data.pkl", dict_of({{"w", {}}})}, {"data/0", kFourFloats}});
  CHECK(floats(load_state_dict(good).at("w")) ==
        std::vector<float>(4, 0));  // the same, unharmed, and without byteorder
}

TEST_CASE("a file that cannot be written is an error, and nothing is left behind", "[engine][state_dict]") {
  const TempDir folder;
  const auto file = folder / "model.pt";
  save_state_dict({{"w", at::ones({2})}}, file);
  const std::string before = read_bytes(file);
  // A limit on the size of files stands for a full disk.
  struct rlimit old {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &old) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit small { 4096, old.rlim_max };
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto full = fault_of([&] { save_state_dict({{"w", at::ones({100000})}}, file); }, folder.path());
  const auto tensor_full = fault_of([&] { save_tensor(at::ones({100000}), folder / "other.pt"); }, folder.path());
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  CHECK(full == "checkpoint| model.pt: cannot be written: File too large; nothing was left behind");
  CHECK(tensor_full == "checkpoint| other.pt: cannot be written: File too large; nothing was left behind");
  CHECK(read_bytes(file) == before);
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);

  CHECK(fault_of([&] { save_state_dict({}, folder / "no" / "model.pt"); }, folder.path()) ==
        "checkpoint| no/model.pt: cannot be written: No such file or directory; nothing was left behind");
  CHECK(fault_of(
            [&] {
              save_state_dict({{"w", at::ones({2}, at::kComplexFloat)}}, folder / "c.pt");
            },
            folder.path()) == "checkpoint| c.pt: dtype ComplexFloat cannot be written");
}

}  // namespace
}  // namespace kvproof
