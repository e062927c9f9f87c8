// The cached forward against the uncached one in float64, where rounding cannot hide a fault of logic.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "engine/error.h"
#include "engine/model/model.h"
#include "tests/engine/model/tensors.h"
#include "tests/support/golden.h"

using namespace kvproof;
using namespace kvproof::testing;

namespace {

constexpr double kLogicTolerance = 1e-10;  // worst seen 5e-14

// Feeds one row's ids in chunks; the logits of all positions, (T, V).
at::Tensor in_chunks(const Model& model, KVCache& cache, const std::vector<int32_t>& ids, const std::vector<int64_t>& chunks) {
  std::vector<at::Tensor> rows;
  auto at = ids.begin();
  for (const int64_t n : chunks) {
    rows.push_back(model.forward(TokenBatch::single({at, at + n}), cache, LogitsAt::all)[0]);
    at += n;
  }
  REQUIRE(at == ids.end());
  return at::cat(rows);
}

at::Tensor uncached(const Model& model, const std::vector<int32_t>& ids) {
  return model.forward(TokenBatch::single(ids), LogitsAt::all)[0];
}

}  // namespace

TEST_CASE("any split of a prompt into chunks gives the logits of full recompute", "[kv_cache]") {
  const auto fields = GENERATE(as<std::string>{}, "n_kv_head=4", "n_kv_head=2", "n_kv_head=1", "n_layer=3", "n_layer=1,window_pattern=S",
                               "n_layer=2,window_pattern=SL", "n_layer=5,window_pattern=SSL", "window_pattern=L",
                               "n_embd=128,n_head=2,n_kv_head=1", "generation=2025-10", "generation=2026-01,window_pattern=none",
                               "generation=2026-01,window_pattern=SSSL", "generation=2026-02", "generation=2026-03a");
  const bool windowed = fields.find("2025") == std::string::npos && fields.find("none") == std::string::npos;
  const Checkpoint checkpoint =
      small_checkpoint(fields, windowed ? ArchitectureOverrides{{"short_window", "5"}} : ArchitectureOverrides{});
  const auto model = make_model(checkpoint, {.backend = GENERATE("native", "aten"), .dtype = "float64", .device = "cpu"});
  const std::vector<std::vector<int64_t>> splits = {
      {1}, {2}, {1, 1}, {7}, {6, 1}, {1, 6}, {3, 1, 3}, {5, 1}, {6}, {5, 6}, {1, 1, 1, 1, 1, 1, 1, 1},  // around the window of 5
      {31}, {30, 1}, {1, 30}, {5, 6, 20}, {16, 15}, {64}, {65}, {60, 10, 1, 1}};                         // and past sequence_len
  for (const auto& chunks : splits) {
    int64_t n = 0;
    for (const int64_t c : chunks) n += c;
    const auto ids = some_tokens(n, 97, static_cast<uint64_t>(n));
    KVCache cache = model->new_cache(1, n);  // exactly full at the end
    CAPTURE(fields, chunks);
    CHECK(max_abs(in_chunks(*model, cache, ids, chunks), uncached(*model, ids)) <= kLogicTolerance);
    CHECK(cache.length(0) == n);
    CHECK(cache.tokens(0) == ids);
  }
}

TEST_CASE("a one-token prompt has a reference: its own uncached logits", "[kv_cache]") {
  // nanochat's naive path asserts T > 1.
  const Checkpoint checkpoint = small_checkpoint();
  const auto model = make_model(checkpoint, {.backend = GENERATE("native", "aten"), .dtype = "float64", .device = "cpu"});
  KVCache cache = model->new_cache(1, 1);
  CHECK(max_abs(in_chunks(*model, cache, {7}, {1}), uncached(*model, {7})) <= kLogicTolerance);
}

TEST_CASE("smear reaches across chunk boundaries, where nanochat drops it", "[kv_cache][nanochat_fault]") {
  const Checkpoint checkpoint = small_checkpoint();
  const auto model = make_model(checkpoint, {.backend = GENERATE("native", "aten"), .dtype = "float64", .device = "cpu"});
  const auto ids = some_tokens(12, 97);
  const at::Tensor expected = uncached(*model, ids);
  KVCache cache = model->new_cache(1, 12);
  CHECK(max_abs(in_chunks(*model, cache, ids, {5, 7}), expected) <= kLogicTolerance);

  // What nanochat does: nothing precedes the first token of a chunk of more than one.
  model->set_plan_filter([](StepPlan plan) {
    if (plan.cached && plan.length > 1) plan.rows[0].previous_token = kNoToken;
    return plan;
  });
  cache.reset();
  CHECK(max_abs(in_chunks(*model, cache, ids, {5, 7}), expected) > 0.01);
}

TEST_CASE("rows of different lengths give each its own logits", "[kv_cache]") {
  const Checkpoint checkpoint = small_checkpoint();
  const auto model = make_model(checkpoint, {.backend = GENERATE("native", "aten"), .dtype = "float64", .device = "cpu"});
  const std::vector<std::vector<int32_t>> rows = {some_tokens(9, 97, 1), some_tokens(1, 97, 2), some_tokens(14, 97, 3)};
  TokenBatch padded{3, 14, std::vector<int32_t>(3 * 14, 0), {9, 1, 14}};
  for (int64_t b = 0; b < 3; ++b) std::copy(rows[b].begin(), rows[b].end(), padded.ids.begin() + b * 14);

  const at::Tensor plain = model->forward(padded, LogitsAt::last);  // (3, V), uncached
  KVCache cache = model->new_cache(3, 16);
  const c10::InferenceMode guard;  // the storage may be written into
  cache.keys(0).fill_(std::nan(""));  // what was never written must never be read
  cache.values(0).fill_(std::nan(""));
  const at::Tensor prefilled = model->forward(padded, cache, LogitsAt::last);
  const std::vector<int32_t> next = {11, 22, 33};
  const at::Tensor decoded = model->forward(TokenBatch::column(next), cache, LogitsAt::last);
  for (int64_t b = 0; b < 3; ++b) {
    CAPTURE(b);
    const at::Tensor expected = uncached(*model, rows[b]);
    CHECK(max_abs(plain[b], expected[-1]) <= kLogicTolerance);
    CHECK(max_abs(prefilled[b], expected[-1]) <= kLogicTolerance);
    auto longer = rows[b];
    longer.push_back(next[b]);
    CHECK(max_abs(decoded[b], uncached(*model, longer)[-1]) <= kLogicTolerance);
    CHECK(cache.length(b) == static_cast<int64_t>(longer.size()));
  }
}

TEST_CASE("cloned rows go their own ways, and the source is not touched", "[kv_cache]") {
  const Checkpoint checkpoint = small_checkpoint();
  const auto model = make_model(checkpoint, {.backend = GENERATE("native", "aten"), .dtype = "float64", .device = "cpu"});
  const auto prompt = some_tokens(10, 97);
  KVCache source = model->new_cache(1, 10);
  model->forward(TokenBatch::single(prompt), source, LogitsAt::last);
  const at::Tensor keys_before = source.keys(1).clone();
  KVCache rows = source.clone_rows(std::vector<int64_t>{0, 0, 0}, 12);
  const std::vector<int32_t> first = {1, 2, 3}, second = {4, 5, 6};
  model->forward(TokenBatch::column(first), rows, LogitsAt::last);
  const at::Tensor logits = model->forward(TokenBatch::column(second), rows, LogitsAt::last);
  for (int64_t b = 0; b < 3; ++b) {
    auto ids = prompt;
    ids.push_back(first[b]);
    ids.push_back(second[b]);
    CAPTURE(b);
    CHECK(max_abs(logits[b], uncached(*model, ids)[-1]) <= kLogicTolerance);
  }
  CHECK(at::equal(source.keys(1), keys_before));
  CHECK(source.length(0) == 10);
}

TEST_CASE("rows that are dropped leave the others as they were", "[kv_cache]") {
  const Checkpoint checkpoint = small_checkpoint();
  const auto model = make_model(checkpoint, {.backend = GENERATE("native", "aten"), .dtype = "float64", .device = "cpu"});
  TokenBatch batch{4, 8, {}, {}};
  std::vector<std::vector<int32_t>> rows;
  for (uint64_t b = 0; b < 4; ++b) {
    rows.push_back(some_tokens(8, 97, b + 1));
    batch.ids.insert(batch.ids.end(), rows.back().begin(), rows.back().end());
  }
  KVCache cache = model->new_cache(4, 10);
  model->forward(batch, cache, LogitsAt::last);
  cache.retain_rows(std::vector<int64_t>{1, 3});
  REQUIRE(cache.batch() == 2);
  const at::Tensor logits = model->forward(TokenBatch::column({50, 60}), cache, LogitsAt::last);
  rows[1].push_back(50);
  rows[3].push_back(60);
  CHECK(max_abs(logits[0], uncached(*model, rows[1])[-1]) <= kLogicTolerance);
  CHECK(max_abs(logits[1], uncached(*model, rows[3])[-1]) <= kLogicTolerance);
}

TEST_CASE("growth, truncation and reuse leave no trace", "[kv_cache]") {
  // History: growth by resize scrambled memory; side state survived a rollback.
  const Checkpoint checkpoint = small_checkpoint();
  const auto model = make_model(checkpoint, {.backend = GENERATE("native", "aten"), .dtype = "float64", .device = "cpu"});
  const auto ids = some_tokens(20, 97);
  const at::Tensor expected = uncached(*model, ids);
  const auto from = [&](int64_t begin, int64_t end) { return TokenBatch::single({ids.begin() + begin, ids.begin() + end}); };

  KVCache cache = model->new_cache(1, 8);
  model->forward(from(0, 8), cache, LogitsAt::last);
  cache.reserve(20);
  CHECK(cache.capacity() == 20);
  CHECK(max_abs(model->forward(from(8, 20), cache, LogitsAt::all)[0], expected.slice(0, 8)) <= kLogicTolerance);

  cache.truncate(0, 6);
  CHECK(max_abs(model->forward(from(6, 20), cache, LogitsAt::all)[0], expected.slice(0, 6)) <= kLogicTolerance);

  cache.truncate(0, 0);
  model->forward(TokenBatch::single(some_tokens(20, 97, 9)), cache, LogitsAt::last);
  cache.reset();
  CHECK(cache.length(0) == 0);
  CHECK(max_abs(model->forward(from(0, 20), cache, LogitsAt::all)[0], expected) <= kLogicTolerance);
}

TEST_CASE("a full cache refuses more, and is unchanged", "[kv_cache][nanochat_fault]") {
  // nanochat writes past the capacity into an empty slice, silently, and positions go on.
  const Checkpoint checkpoint = small_checkpoint();
  const auto model = make_model(checkpoint, {.backend = GENERATE("native", "aten"), .dtype = "float64", .device = "cpu"});
  const auto ids = some_tokens(8, 97);
  KVCache cache = model->new_cache(1, 8);
  model->forward(TokenBatch::single({ids.begin(), ids.begin() + 7}), cache, LogitsAt::last);
  const at::Tensor keys = cache.keys(2).narrow(2, 0, 7).clone();
  CHECK_THROWS_WITH(model->forward(TokenBatch::single({1, 2}), cache, LogitsAt::last),
                    "KV cache: row 0 holds 7 positions and 2 more were given, capacity is 8; reserve first");
  CHECK(cache.length(0) == 7);
  CHECK(at::equal(cache.keys(2).narrow(2, 0, 7), keys));
  CHECK_NOTHROW(model->forward(TokenBatch::single({ids[7]}), cache, LogitsAt::last));
  CHECK_THROWS_AS(model->forward(TokenBatch::single({1}), cache, LogitsAt::last), CapacityError);
}

TEST_CASE("positions past the rotary tables are refused before any work", "[kv_cache]") {
  const Checkpoint checkpoint = small_checkpoint("sequence_len=8");  // tables of 80 positions
  const auto model = make_model(checkpoint, {.backend = GENERATE("native", "aten"), .dtype = "float64", .device = "cpu"});
  CHECK_NOTHROW(model->forward(TokenBatch::single(some_tokens(80, 97)), LogitsAt::last));
  CHECK_THROWS_WITH(model->forward(TokenBatch::single(some_tokens(81, 97)), LogitsAt::last),
                    "rotary tables: 81 positions asked for, the tables cover 80 (10 x sequence_len 8); shorten the prompt or max_tokens");
  KVCache cache = model->new_cache(1, 100);
  model->forward(TokenBatch::single(some_tokens(79, 97)), cache, LogitsAt::last);
  CHECK_THROWS_AS(model->forward(TokenBatch::single({1, 2}), cache, LogitsAt::last), CapacityError);
  CHECK_NOTHROW(model->forward(TokenBatch::single({1}), cache, LogitsAt::last));
}

TEST_CASE("a decoded token sees window + 1 keys, itself included", "[kv_cache][nanochat_fault]") {
  // History: the window was ignored in single-token decode.
  const Checkpoint checkpoint = small_checkpoint("n_layer=2,window_pattern=SL");
  const auto model = make_model(checkpoint, {.backend = GENERATE("native", "aten"), .dtype = "float64", .device = "cpu"});
  KVCache cache = model->new_cache(1, 20);
  const auto ids = some_tokens(10, 97);
  model->forward(TokenBatch::single(ids), cache, LogitsAt::last);
  const c10::InferenceMode guard;  // the storage may be written into
  const auto decode = [&] {
    const at::Tensor logits = model->forward(TokenBatch::single({3}), cache, LogitsAt::last);
    cache.truncate(0, 10);
    return logits;
  };
  const at::Tensor before = decode();
  cache.keys(0).select(2, 4).fill_(100.0);  // position 10 - 6: outside the window of 5
  CHECK(at::equal(decode(), before));
  cache.keys(0).select(2, 5).fill_(100.0);  // position 10 - 5: the last one inside
  CHECK_FALSE(at::equal(decode(), before));
}

TEST_CASE("the cache has the model's dtype, whatever that is", "[kv_cache][nanochat_fault]") {
  // History: the cache's dtype was assumed.
  const auto dtype = GENERATE(at::kFloat, at::kBFloat16, at::kHalf, at::kDouble);
  const std::string word = dtype == at::kFloat ? "float32" : dtype == at::kBFloat16 ? "bfloat16" : dtype == at::kHalf ? "float16" : "float64";
  const Checkpoint checkpoint = small_checkpoint();
  const auto model = make_model(checkpoint, {.backend = GENERATE("auto", "aten"), .dtype = word, .device = "cpu"});
  KVCache cache = model->new_cache(1, 8);
  CHECK(cache.dtype() == dtype);
  CHECK(cache.bytes() == 2 * 4 * 2 * 8 * 16 * static_cast<int64_t>(c10::elementSize(dtype)));  // K and V, L, G, capacity, D
  const auto ids = some_tokens(8, 97);
  const at::Tensor cached = in_chunks(*model, cache, ids, {5, 1, 2}).to(at::kDouble);
  const at::Tensor plain = uncached(*model, ids).to(at::kDouble);
  const double tolerance = dtype == at::kDouble ? 1e-10 : dtype == at::kFloat ? 1e-5 : 0.5;
  CHECK((cached - plain).abs().max().item<double>() <= tolerance);
}
