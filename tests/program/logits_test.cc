// kvproof logits: its file as NumPy reads it, its numbers as PyTorch had them.
#include <ATen/ATen.h>

#include <cstring>
#include <fstream>

#include "engine/checkpoint/state_dict.h"
#include "tests/program/program.h"

using namespace kvproof::testing;
using Json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// A .npy file of version 1.0, read by the format's own definition.
struct Array {
  std::string header;
  std::string data;
};

Array read_npy(const fs::path& file) {
  const auto bytes = read_file(file);
  REQUIRE(bytes.substr(0, 8) == std::string("\x93NUMPY\x01\x00", 8));
  const std::size_t length = static_cast<uint8_t>(bytes[8]) + 256 * static_cast<uint8_t>(bytes[9]);
  CHECK((10 + length) % 64 == 0);
  REQUIRE(bytes.size() >= 10 + length);
  CHECK(bytes[10 + length - 1] == '\n');
  return {bytes.substr(10, bytes.find('}') - 9), bytes.substr(10 + length)};
}

template <class T>
at::Tensor tensor_of(const Array& array, at::ScalarType type, int64_t rows, int64_t columns) {
  REQUIRE(array.data.size() == sizeof(T) * static_cast<std::size_t>(rows * columns));
  auto tensor = at::empty({rows, columns}, at::TensorOptions(type));
  std::memcpy(tensor.data_ptr(), array.data.data(), array.data.size());
  return tensor;
}

}  // namespace

TEST_CASE("logits of both paths are PyTorch's, in a file that NumPy reads", "[program]") {
  const TempDir temp;
  for (const std::string generation : {"2025-10", "2026-02", "head"}) {
    const auto base_dir = source_path("harness/verify/vectors/generations/" + generation);
    const auto golden = Json::parse(std::ifstream(base_dir + "/golden.json"));
    const auto expected = kvproof::load_state_dict(base_dir + "/golden.pt").at("logits.0");  // (T, V)
    const auto tokens = golden["prompt_tokens"][0].get<std::vector<int>>();
    const auto T = static_cast<int64_t>(tokens.size()), V = expected.size(1);
    const std::string chunks = "1,2," + std::to_string(T - 3);
    for (const auto& path : std::vector<std::vector<std::string>>{
             {"--path", "naive"}, {"--path", "engine"}, {"--path", "engine", "--prefill-chunks", chunks}}) {
      const auto run =
          run_kvproof(std::vector<std::string>{"logits", "--format", "json", "--base-dir", base_dir, "--prompt-tokens",
                                               comma_separated(tokens), "--out", temp / "logits.npy"} +
                      path);
      CAPTURE(generation, path, run.err);
      REQUIRE(run.code == 0);
      CHECK(run.json() == Json{{"out", temp / "logits.npy"}, {"shape", {T, V}}, {"dtype", "float32"}});
      const auto array = read_npy(temp / "logits.npy");
      CHECK(array.header == "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(T) + ", " +
                                std::to_string(V) + "), }");
      const auto logits = tensor_of<float>(array, at::kFloat, T, V);
      CHECK((logits - expected).abs().max().item<float>() <= 2e-5f);  // worst seen 8.3e-6
    }
  }
}

TEST_CASE("in float64 the paths agree to the last digits, and the file is float64", "[program]") {
  const TempDir temp;
  const std::vector<std::string> flags = {
      "--synthetic",     "d3,vocab_size=50,n_embd=64,n_head=4,n_kv_head=2,sequence_len=40",
      "--dtype",         "float64",
      "--prompt-tokens", "3,1,4,1,5,9,2,6"};
  std::vector<at::Tensor> found;
  for (const auto& path : std::vector<std::vector<std::string>>{{"--path", "naive"}, {"--prefill-chunks", "5,1,2"}}) {
    const auto run = run_kvproof(std::vector<std::string>{"logits", "--out", temp / "logits.npy"} + flags + path);
    CAPTURE(run.err);
    REQUIRE(run.code == 0);
    CHECK(run.out == temp / "logits.npy" + std::string(": (8, 50) float64\n"));
    const auto array = read_npy(temp / "logits.npy");
    CHECK(array.header == "{'descr': '<f8', 'fortran_order': False, 'shape': (8, 50), }");
    found.push_back(tensor_of<double>(array, at::kDouble, 8, 50));
  }
  CHECK((found[0] - found[1]).abs().max().item<double>() <= 1e-10);  // worst seen 8.5e-15
  CHECK(fs::exists(temp / "logits.npy"));
  CHECK(std::distance(fs::directory_iterator(temp.path()), {}) == 1);  // nothing is left beside the file
}
