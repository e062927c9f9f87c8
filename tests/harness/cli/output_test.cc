#include <chrono>

#include "harness/cli/generation_output.h"
#include "harness/cli/npy.h"
#include "tests/support/catch.h"

using namespace kvproof;
using namespace kvproof::cli;

TEST_CASE("a .npy header is padded so that the data is aligned", "[harness][cli]") {
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{7}, {1, 2}, {123456789, 65536}, {1, 2, 3}}) {
    const auto header = npy_header("f4", shape);
    CHECK(header.size() % 64 == 0);
    CHECK(header.back() == '\n');
    const auto length = static_cast<uint8_t>(header[8]) + 256 * static_cast<uint8_t>(header[9]);
    CHECK(static_cast<std::size_t>(length) + 10 == header.size());
  }
  CHECK_THAT(npy_header("f8", {7}), Catch::Matchers::Contains("'fortran_order': False, 'shape': (7,), }"));
  CHECK_THAT(npy_header("f8", {7, 8}), Catch::Matchers::Contains("'shape': (7, 8), }"));
}

TEST_CASE("without a tokenizer a stream is ids with spaces between them", "[harness][cli]") {
  TextStream stream(nullptr);
  std::string text = stream.push(5);
  text += stream.push(17);
  text += stream.push(0);
  CHECK(text + stream.finish() == "5 17 0");
}

TEST_CASE("a character in two tokens comes out when it is whole, and special tokens never", "[harness][cli]") {
  const auto tokenizer = Tokenizer::load(testing::source_path("harness/verify/vectors/generations/head/tokenizer"));
  const auto bytes = tokenizer.encode("\xc3\xa9");
  REQUIRE(bytes.size() == 2);
  TextStream stream(&tokenizer);
  CHECK(stream.push(bytes[0]).empty());
  CHECK(stream.push(tokenizer.special().python_start).empty());
  CHECK(stream.push(bytes[1]) == "\xc3\xa9");
  stream.push(bytes[0]);
  CHECK(stream.finish() == "\xef\xbf\xbd");
}

TEST_CASE("times are ttft, then gaps, and what the callback does is in none of them", "[harness][cli]") {
  int steps = 0;
  TimingObserver observer([&](const GenerationStep&) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
    while (std::chrono::steady_clock::now() < end) {
    }
    return ++steps < 3;
  });
  observer.on_forward(4);
  CHECK(observer.on_step({}));
  observer.on_forward(1);
  CHECK(observer.on_step({}));
  CHECK_FALSE(observer.on_step({}));
  REQUIRE(observer.itl_ns().size() == 2);
  for (const auto gap : observer.itl_ns()) CHECK(gap < 50'000'000);
  const auto document = observer.document(7);
  CHECK(document["load_ns"] == 7);
  CHECK(document["prefill_ns"].get<int64_t>() <= document["ttft_ns"].get<int64_t>());
}

TEST_CASE("sampled tokens are those with mask 1", "[harness][cli]") {
  CHECK(sampled_tokens({5, 6, 7, 8}, {0, 1, 0, 1}) == std::vector<TokenId>{6, 8});
}
