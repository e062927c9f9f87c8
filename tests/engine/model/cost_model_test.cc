#include "engine/model/cost_model.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {
GptConfig d12() {
  ModelDims dims{.sequence_len = 2048, .vocab_size = 32768, .n_layer = 12, .n_head = 6, .n_kv_head = 6, .n_embd = 768,
                 .window_pattern = "SSSL"};
  return {dims, architecture_of("head", dims)};
}
}  // namespace

TEST_CASE("d12 has 286 million parameters, 110 million of them multiplied per token") {
  const ParameterCount count = count_parameters(d12());
  CHECK(count.matmul == 12 * 12 * 768 * 768 + 32768 * 768 + 6 * 6 * 12 + 24);
  CHECK(count.embedding == 32768 * 768 * 7);  // wte and six value embeddings
  CHECK(count.scalar == 26);
  CHECK(count.total / 1'000'000 == 286);
}

TEST_CASE("parameters counted are the elements of the tensors") {
  const std::string fields = GENERATE(as<std::string>{}, "", "n_layer=3", "generation=2025-10", "generation=2026-02", "generation=2026-03a");
  const Checkpoint checkpoint = small_checkpoint(fields, {});
  const GptConfig config(checkpoint.dims, checkpoint.architecture);
  int64_t elements = 0;
  for (const auto& [name, shape] : expected_tensors(checkpoint.architecture, checkpoint.dims)) {
    int64_t n = 1;
    for (const int64_t size : shape) n *= size;
    elements += n;
  }
  CAPTURE(fields);
  CHECK(count_parameters(config).total == elements);
}

TEST_CASE("attention costs follow the windows") {
  const GptConfig c = d12();  // short window ceil(2048 / 4 / 128) * 128 = 512
  const double matrices = 2.0 * (12 * 12 * 768 * 768 + 6 * 6 * 12 + 24);
  CHECK(flops_per_token(c, 0, false) == matrices + 4.0 * 12 * 768);
  CHECK(flops_per_token(c, 0, true) == matrices + 2.0 * 32768 * 768 + 4.0 * 12 * 768);
  CHECK(flops_per_token(c, 1000, false) == matrices + 4.0 * 768 * (9 * 513 + 3 * 1001));
  CHECK(flops_of_forward(c, 0, 3, false) == 3 * matrices + 4.0 * 12 * 768 * 6 + 2.0 * 32768 * 768);
  CHECK(kv_bytes_per_token(c, 4) == 2 * 12 * 768 * 4);
  CHECK(kv_bytes_read(c, 2, 1000) == 2 * 2 * 768 * (9 * 513 + 3 * 1001));
}

TEST_CASE("a decode step reads the matrices once and an embedding row per token") {
  const GptConfig c = d12();
  const int64_t matmul = count_parameters(c).matmul;
  CHECK(weight_bytes_read(c, 4, 1) == 4 * (matmul + 26 + 7 * 768));
  CHECK(weight_bytes_read(c, 2, 8) == 2 * (matmul + 26 + 8 * 7 * 768));
}

TEST_CASE("token-forwards: the naive path's grow with the square, the engine's do not") {
  CHECK(naive_token_forwards(10, 1) == 10);
  CHECK(naive_token_forwards(10, 3) == 10 + 11 + 12);
  CHECK(engine_token_forwards(10, 1, 4) == 10);
  CHECK(engine_token_forwards(10, 3, 4) == 10 + 4 * 2);
  CHECK(engine_token_forwards(10, 0, 4) == 0);
  CHECK(naive_token_forwards(10, 0) == 0);
}
