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

TEST_CASE("an MLP of another width counts with it: one token's FLOPs and bytes by hand") {
  // 2 layers, 6 channels, 3 heads of 2 and one kv head, 5 hidden units, 7 tokens.
  ModelDims dims{.sequence_len = 8, .vocab_size = 7, .n_layer = 2, .n_head = 3, .n_kv_head = 1, .n_embd = 6,
                 .window_pattern = std::nullopt, .n_inner = 5};
  const GptConfig own{dims, architecture_of("huggingface", dims)};
  const int64_t attention = 6 * 6 + 2 * 6 * 2 + 6 * 6, mlp = 5 * 6 + 6 * 5;  // c_q, c_k and c_v, c_proj; c_fc, c_proj
  CHECK(count_parameters(own).matmul == 2 * (attention + mlp) + 7 * 6);
  CHECK(count_parameters(own).total == 2 * (attention + mlp) + 7 * 6 + 7 * 6);
  CHECK(flops_per_token(own, 3, false) == 2.0 * 2 * (attention + mlp) + 4.0 * 2 * 4 * 6);  // 4 keys, 3 heads of 2
  CHECK(weight_bytes_read(own, 2, 1) == 2 * (2 * (attention + mlp) + 7 * 6 + 6));
  dims.n_inner = 24;  // what 0 stands for
  const GptConfig stated{dims, architecture_of("huggingface", dims)};
  dims.n_inner = 0;
  const GptConfig absent{dims, architecture_of("huggingface", dims)};
  CHECK(count_parameters(absent).total == count_parameters(stated).total);
  CHECK(count_parameters(absent).total - count_parameters(own).total == 2 * 2 * 6 * (24 - 5));
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
