#include "engine/error.h"
#include "engine/model/model.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {
GptConfig small_config() {
  const Checkpoint checkpoint = small_checkpoint();
  return {checkpoint.dims, checkpoint.architecture};
}

StepPlan uncached(const GptConfig& config, const TokenBatch& tokens) {
  StepPlan plan;
  plan_uncached(config, tokens, plan);
  return plan;
}

StepPlan cached(const GptConfig& config, const TokenBatch& tokens, const KVCache& cache) {
  StepPlan plan;
  plan_cached(config, tokens, cache, plan);
  return plan;
}
}  // namespace

TEST_CASE("windows follow the tiled pattern, and the last layer is long") {
  const GptConfig config = small_config();
  CHECK(config.window(0) == 5);
  CHECK(config.window(2) == 5);
  CHECK(config.window(3) == 64);
  const Checkpoint short_ones = small_checkpoint("n_layer=3,window_pattern=S");
  const GptConfig all_short(short_ones.dims, short_ones.architecture);
  CHECK(all_short.window(1) == 5);
  CHECK(all_short.window(2) == 64);
}

TEST_CASE("an uncached plan starts at position 0 and precedes nothing") {
  const StepPlan plan = uncached(small_config(), TokenBatch::single({1, 2, 3}));
  CHECK_FALSE(plan.cached);
  CHECK(plan.uniform());
  CHECK(plan.rows[0].position == 0);
  CHECK(plan.rows[0].previous_token == kNoToken);
  CHECK(plan.layers[0].key_begin[0] == 0);
  CHECK(plan.layers[0].key_end[0] == 3);
  CHECK(plan.kv_head == std::vector<int64_t>{0, 0, 1, 1});
}

TEST_CASE("a cached plan continues each row, and reads only what a window can see") {
  const GptConfig config = small_config();
  const Checkpoint checkpoint = small_checkpoint();
  const auto model = make_model(checkpoint, {.dtype = "float64", .device = "cpu"});
  KVCache cache = model->new_cache(1, 32);
  const auto ids = some_tokens(20, 97);
  model->forward(TokenBatch::single(ids), cache, LogitsAt::last);
  const StepPlan plan = cached(config, TokenBatch::single({4, 5}), cache);
  CHECK(plan.rows[0].position == 20);
  CHECK(plan.rows[0].write_at == 20);
  CHECK(plan.rows[0].advance == 2);
  CHECK(plan.rows[0].previous_token == ids.back());
  CHECK(plan.layers[0].key_begin[0] == 15);  // token 20 sees 15 … 20
  CHECK(plan.layers[0].key_end[0] == 22);
  CHECK(plan.layers[3].key_begin[0] == 0);
}

TEST_CASE("bad batches are refused by name") {
  const GptConfig config = small_config();
  CHECK_THROWS_WITH(uncached(config, {0, 0, {}, {}}), "tokens: expected at least one row of one token, got 0 x 0");
  CHECK_THROWS_WITH(uncached(config, {2, 2, {1, 2, 3}, {}}), "tokens: expected 2 x 2 ids, got 3");
  CHECK_THROWS_WITH(uncached(config, {1, 2, {1, 97}, {}}), "tokens: id 97 at position 1 of row 0: must be in [0, 97)");
  CHECK_THROWS_WITH(uncached(config, {1, 2, {-1, 1}, {}}), "tokens: id -1 at position 0 of row 0: must be in [0, 97)");
  CHECK_THROWS_WITH(uncached(config, {1, 2, {1, 1}, {3}}), "tokens: row 0: length must be in [1, 2], got 3");
  CHECK_THROWS_WITH(uncached(config, {1, 2, {1, 1}, {1, 1}}), "tokens: expected 1 row lengths, got 2");
  KVCache cache(config, 2, 4, at::kFloat, at::kCPU);
  CHECK_THROWS_WITH(cached(config, TokenBatch::single({1}), cache), "tokens: expected 2 rows, one per cache row, got 1");
}

TEST_CASE("cache operations check their arguments") {
  KVCache cache(small_config(), 2, 4, at::kFloat, at::kCPU);
  CHECK_THROWS_WITH(cache.truncate(0, 1), "KV cache: cannot truncate row 0 to 1: it holds 0 positions");
  CHECK_THROWS_WITH(cache.truncate(2, 0), "KV cache: row 2 of 2");
  CHECK_THROWS_WITH(cache.retain_rows(std::vector<int64_t>{1, 0}),
                    "KV cache: rows to retain must be ascending, distinct and below 2");
  CHECK_THROWS_WITH(cache.clone_rows(std::vector<int64_t>{2}, 4), "KV cache: row 2 of 2");
  CHECK_THROWS_WITH(KVCache(small_config(), 0, 4, at::kFloat, at::kCPU),
                    "KV cache: batch and capacity must be at least 1, got 0 and 4");
  static_assert(!std::is_copy_constructible_v<KVCache> && !std::is_copy_assignable_v<KVCache>);
}
