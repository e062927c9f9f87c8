// Every prefix and many mutations of real files: an answer or a CheckpointError, never a crash. Run under
// -fsanitize=address,undefined too.
#include <array>
#include <cstring>

#include "engine/checkpoint/pickle.h"
#include "engine/checkpoint/state_dict.h"
#include "tests/engine/checkpoint/support.h"

namespace kvproof {
namespace {

using testing::data_path;
using testing::read_bytes;

constexpr std::array<uint8_t, 6> kFlips = {0x01, 0x02, 0x10, 0x40, 0x80, 0xFF};
// Opcodes that move the stack, the memo or the reading position.
constexpr std::array<uint8_t, 10> kOpcodes = {'(', '.', '0', 'R', 'b', 'u', 't', 0x81, 0x93, 0x95};

struct Outcome {
  int read = 0, refused = 0;
};

void try_pickle(const std::string& bytes, Outcome& outcome) {
  try {
    read_pickle(bytes, "x", [](std::string_view) { return true; });
    ++outcome.read;
  } catch (const CheckpointError& error) {
    REQUIRE(error.place().rfind("x at byte ", 0) == 0);
    ++outcome.refused;
  }
}

// Reads the first and the last element of every tensor: in a wrong mapping that faults.
void touch(const StateDict& tensors, int& sum) {
  for (const auto& [name, tensor] : tensors) {
    if (tensor.numel() == 0) continue;
    int64_t last = 0;
    for (int64_t i = 0; i < tensor.dim(); ++i) last += (tensor.size(i) - 1) * tensor.stride(i);
    const auto* bytes = static_cast<const char*>(tensor.const_data_ptr());
    sum += bytes[0] + bytes[static_cast<size_t>(last) * tensor.itemsize() + tensor.itemsize() - 1];
  }
}

void try_state_dict(const std::filesystem::path& file, Outcome& outcome) {
  static int sum = 0;
  try {
    touch(load_state_dict(file), sum);
    ++outcome.read;
  } catch (const CheckpointError& error) {
    REQUIRE(error.place().rfind(file.string(), 0) == 0);
    ++outcome.refused;
  }
}

TEST_CASE("every prefix of a real pickle is refused", "[engine][pickle][fuzz]") {
  const auto file = GENERATE(data_path("plain_protocol2.pkl"), data_path("plain_protocol5.pkl"),
                             testing::generation_path("head/tokenizer/tokenizer.pkl"));
  CAPTURE(file);
  const std::string whole = read_bytes(file);
  Outcome outcome;
  for (size_t n = 0; n < whole.size(); ++n) try_pickle(whole.substr(0, n), outcome);
  CHECK(outcome.read == 0);
  CHECK(outcome.refused == static_cast<int>(whole.size()));
}

TEST_CASE("a real pickle with one byte changed is read or refused", "[engine][pickle][fuzz]") {
  const auto file = GENERATE(data_path("plain_protocol2.pkl"), data_path("plain_protocol5.pkl"),
                             testing::generation_path("head/tokenizer/tokenizer.pkl"));
  CAPTURE(file);
  std::string bytes = read_bytes(file);
  Outcome outcome;
  const size_t middle =
      bytes.size() > 2000 ? 7 : 1;  // the tokenizer's many tokens are alike: every seventh byte will do
  for (size_t i = 0; i < bytes.size(); i += i < 300 ? 1 : middle) {
    const char original = bytes[i];
    for (const uint8_t flip : kFlips) bytes[i] = static_cast<char>(original ^ flip), try_pickle(bytes, outcome);
    for (const uint8_t opcode : kOpcodes) bytes[i] = static_cast<char>(opcode), try_pickle(bytes, outcome);
    bytes[i] = original;
  }
  CHECK(outcome.read > 0);
  CHECK(outcome.refused > outcome.read / 10);
}

TEST_CASE("a real checkpoint file with one byte changed or cut short is read or refused",
          "[engine][state_dict][fuzz]") {
  const testing::TempDir folder;
  const auto file = folder / "model.pt";
  std::filesystem::copy_file(data_path("views.pt"), file);
  const std::string bytes = read_bytes(file);
  Outcome cut, changed;
  {
    std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);  // in place: new files are slow
    for (size_t i = 0; i < bytes.size(); ++i) {
      const char flipped = static_cast<char>(bytes[i] ^ kFlips[i % kFlips.size()]);
      out.seekp(static_cast<std::streamoff>(i)).put(flipped).flush();
      try_state_dict(file, changed);
      out.seekp(static_cast<std::streamoff>(i)).put(bytes[i]).flush();
    }
  }
  CHECK(changed.read > 0);
  CHECK(changed.refused > changed.read / 10);
  for (size_t n = bytes.size() - 1; n > 7; n -= 7) {
    std::filesystem::resize_file(file, n);
    try_state_dict(file, cut);
  }
  CHECK(cut.read == 0);
}

}  // namespace
}  // namespace kvproof
